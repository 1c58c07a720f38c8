--- look_endpoint: what endpoints admit now, by which limit and until when, and what is left of their rates: the facts, by
-- name. Writes nothing.
-- Promises: ONE-TRUTH
-- Flags: no-writes
-- Keys: endpoint endpoint:slots endpoint:lingering endpoint:tenants endpoint:waiting
-- ARGV: endpoints; at most 100
-- Answers: facts (for each endpoint an array of name, value pairs; of one whose keys cannot be read only `damaged`)
--@include keys
--@include time
--@include admission
local TENANTS_AT_MOST = 256
local FIELDS = { 'max_concurrency', 'run:max_concurrency', 'set:max_concurrency', 'rate', 'run:rate', 'set:rate', 'tokens',
  'run:tokens', 'set:tokens', 'adaptive', 'run:adaptive', 'set:adaptive', 'breaker', 'run:breaker', 'set:breaker', 'limit',
  'ceiling', 'decreased_ms', 'probe_ms', 'hold_until', 'hold_reason', 'retry_until', 'open_until', 'broken', 'cost_ms',
  'token_mean', 'token_silent' }
local function look(endpoint)
  local facts = {}
  local function tell(name, value)
    if value == nil or value == false then return end
    facts[#facts + 1], facts[#facts + 2] = name, tostring(value)
  end
  for i, value in ipairs(redis.call('HMGET', endpoint_key(endpoint), unpack(FIELDS))) do tell(FIELDS[i], value) end
  local room, at, word = admission(endpoint)
  tell('room', whole(room))
  tell('room_at', at and string.format('%.3f', at))
  tell('limited_by', word)
  tell('in_flight', redis.call('SCARD', endpoint_key(endpoint, 'slots')))
  tell('lingering', redis.call('ZCOUNT', endpoint_key(endpoint, 'lingering'), '(' .. now_text, '+inf'))
  local interval, slack, tat, token_interval, token_slack, token_tat = unpack(redis.call('HMGET', endpoint_key(endpoint),
    'rate_us', 'rate_slack', 'tat', 'tokens_us', 'tokens_slack', 'token_tat'))
  if tonumber(interval) then tell('rate_left', whole((conforming(tat, tonumber(interval), tonumber(slack) or 0)))) end
  if tonumber(token_interval) then
    local from = math.max(tonumber(token_tat) or 0, now_us)
    tell('tokens_left', whole((now_us + (tonumber(token_slack) or 0) - from) / tonumber(token_interval)))
  end
  local waiting = 0
  for _, tenant in ipairs(redis.call('ZRANGE', endpoint_key(endpoint, 'tenants'), 0, TENANTS_AT_MOST - 1)) do
    waiting = waiting + redis.call('ZCARD', waiting_key(endpoint, tenant))
  end
  tell('waiting', waiting)
  return facts
end
local answers = { 'facts' }
for _, endpoint in ipairs(ARGV) do
  local sound, facts = pcall(look, endpoint)
  answers[#answers + 1] = sound and facts or { 'damaged', '1' }
end
return answers
