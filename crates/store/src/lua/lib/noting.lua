-- The newest changes of an endpoint's limits, for people: `ms|limit|word|detail`, newest first.
local HISTORY = 100
local function note(endpoint, limit, word, detail)
  redis.call('LPUSH', endpoint_key(endpoint, 'history'), now_text .. '|' .. limit .. '|' .. word .. '|' .. detail)
  redis.call('LTRIM', endpoint_key(endpoint, 'history'), 0, HISTORY - 1)
end
local function rounded(number) return string.format('%.1f', number) end
