-- What attempts told about their endpoint: how long they took, what they used, and whether there was too much of them. Sent with
-- what ends them, one text for all of a run: numbers in the order of FEEDBACK. Where the endpoint accepted every call it
-- is `+` and four of them: calls, busy_ms, timed, silent. Behind a `;`: calls, tokens and cost of attempts whose slots were freed
-- before (`vacate`); what they told of the endpoint was taken then, and a budget is charged when they end.
--
-- The limit adapts by additive increase and multiplicative decrease (Chiu and Jain, 1989), with what CUBIC (RFC 9438) adds:
-- below the load at which the endpoint last refused calls it grows fast, and then stays there for a while.
local FEEDBACK = { 'calls', 'accepted', 'answered', 'congested', 'begun_ms', 'late', 'failed', 'hold_ms', 'busy_ms', 'timed',
  'tokens', 'metered', 'silent', 'cost', 'unsent' }
local ENDPOINT_STATE = { 'cost_ms', 'adaptive', 'limit', 'ceiling', 'met', 'decreased_ms', 'rejected', 'first', 'probe_ms', 'probe_wait',
  'breaker', 'broken', 'open_until', 'opened', 'tokens_us', 'token_tat', 'token_mean', 'token_silent',
  'retry_until', 'max_concurrency' }
-- Of one episode; the first one may begin far above what the endpoint takes.
local DECREASE, MOST_DECREASE, FIRST_DECREASE, EARLY_STEP = 0.85, 0.4, 0.05, 0.25
local PROBE_MS, MOST_PROBE_MS, MOST_OPEN_MS = 15000, 60000, 60000
-- Weight of the newest value in a moving average.
local NEWEST = 1 / 16

local function read_feedback(text)
  local read, i = {}, 0
  for number in string.gmatch(text, '%S+') do
    i = i + 1
    read[FEEDBACK[i] or i] = tonumber(number) or 0
  end
  if i < #FEEDBACK then return nil end
  return read
end

-- `count` new values with this mean.
local function averaged(average, mean, count)
  average = tonumber(average)
  if not average then return mean end
  return average + (mean - average) * (1 - (1 - NEWEST) ^ count)
end

-- Calls were refused because there were too many: the limit falls once for all calls that were under way.
local function decrease(endpoint, state, set, told, going)
  local least = tonumber(string.match(state.adaptive or '', '^(%d+)/')) or 1
  local limit = tonumber(state.limit)
  local decreased = tonumber(state.decreased_ms) or 0
  if told.begun_ms > decreased then
    local ceiling = math.max(1, limit and math.min(limit, going) or going)
    local before, wait = tonumber(state.met), PROBE_MS
    if before and math.abs(ceiling - before) <= math.max(1, before / 10) then
      wait = math.min(MOST_PROBE_MS, 2 * (tonumber(state.probe_wait) or PROBE_MS))
    end
    limit = math.min(ceiling * DECREASE, ceiling - told.congested)
    limit = math.max(least, ceiling * (before and MOST_DECREASE or FIRST_DECREASE), limit)
    set.ceiling, set.met, set.limit = ceiling, ceiling, limit
    set.decreased_ms, set.rejected, set.first = now_text, told.congested, not before and '1' or false
    set.probe_ms, set.probe_wait = whole(now + told.hold_ms + wait), whole(wait)
    note(endpoint, rounded(limit), 'decreased', 'refused at ' .. rounded(ceiling))
  elseif limit and state.met then
    -- Calls of the same episode: how many were refused says how much was too much.
    local met, rejected = tonumber(state.met) or limit, (tonumber(state.rejected) or 0) + told.congested
    set.rejected = rejected
    local most = state.first and FIRST_DECREASE or MOST_DECREASE
    set.limit = math.min(limit, math.max(least, met * most, met - rejected))
    -- What people read of the episode is where it came to.
    local newest = redis.call('LINDEX', endpoint_key(endpoint, 'history'), 0)
    if set.limit < limit and newest and string.find(newest, '|decreased|', 1, true) then
      redis.call('LPOP', endpoint_key(endpoint, 'history'))
      note(endpoint, rounded(set.limit), 'decreased', 'refused at ' .. rounded(met))
    end
  end
end

-- It grows only while it is what limits.
local function increase(endpoint, state, set, told, going)
  local limit = tonumber(set.limit or state.limit)
  if not limit or going < 0.8 * math.floor(limit) then return end
  local most = tonumber(state.max_concurrency) or UNBOUNDED
  local step = told.accepted / limit
  local ceiling = tonumber(state.ceiling)
  if ceiling and now < (tonumber(state.probe_ms) or 0) then
    most = math.min(most, math.max(limit, ceiling - 1))
  elseif ceiling then
    set.ceiling = false
    note(endpoint, rounded(limit), 'probing', 'beyond ' .. rounded(ceiling))
  elseif not state.decreased_ms then
    step = told.accepted * EARLY_STEP
  end
  local grown = math.min(limit + step, most)
  if grown > limit then set.limit = grown end
end

local function adapt(endpoint, state, set, told, going)
  if told.hold_ms > 0 and now + told.hold_ms > (tonumber(state.retry_until) or 0) then
    set.retry_until = whole(now + told.hold_ms)
    -- The longest of a batch that says so at the same time is enough for people.
    if (tonumber(state.retry_until) or 0) <= now then
      note(endpoint, state.limit and rounded(tonumber(state.limit) or 0) or '', 'held',
        'Retry-After ' .. whole(told.hold_ms) .. ' ms')
    end
  end
  if state.adaptive == 'off' then return end
  -- Time-outs tell of too much load only where somebody asked for it: an endpoint may also just hang.
  if string.match(state.adaptive or '', '^%d+/%d+$') then told.congested = told.congested + told.late end
  if told.congested > 0 then decrease(endpoint, state, set, told, going)
  elseif told.accepted > 0 then increase(endpoint, state, set, told, going) end
end

-- Closed, open, half open (Nygard, Release It!): see `Breaker` of the configuration.
local function trip(endpoint, state, set, told)
  local failures, cool_down = string.match(state.breaker or '', '^(%d+)/(%d+)$')
  local open_until = tonumber(state.open_until)
  -- What ends while it is open had begun before: it neither closes it nor prolongs it.
  if open_until and now < open_until then return end
  if told.answered > 0 then
    if state.broken then set.broken = false end
    if open_until then
      set.open_until, set.opened = false, false
      note(endpoint, '', 'breaker', 'closed')
    end
  elseif told.failed > 0 and failures then
    local broken, opened = (tonumber(state.broken) or 0) + told.failed, tonumber(state.opened) or 0
    set.broken = broken
    -- Half open, one is enough.
    if open_until or broken >= tonumber(failures) then
      local length = math.min(MOST_OPEN_MS, tonumber(cool_down) * 2 ^ math.min(opened, 16))
      set.open_until, set.opened = whole(now + length), opened + 1
      note(endpoint, '', 'breaker', 'open for ' .. whole(length) .. ' ms after ' .. broken .. ' failures')
    end
  end
end

-- Usage is known when a call has ended: what it used is taken from the budget then.
local function use_tokens(state, set, told)
  local interval = tonumber(state.tokens_us)
  if told.silent > 0 and not state.token_silent then set.token_silent = '1' end
  if told.tokens > 0 and told.metered > 0 then
    set.token_mean = averaged(state.token_mean, told.tokens / told.metered, told.metered)
    if interval then
      set.token_tat = string.format('%.0f', math.max(tonumber(state.token_tat) or 0, now_us) + told.tokens * interval)
    end
  end
end

local function spend(run, told)
  if told.calls > 0 then redis.call('HINCRBY', run_key(run), 'spent_requests', told.calls) end
  if told.tokens > 0 then redis.call('HINCRBY', run_key(run), 'spent_tokens', whole(told.tokens)) end
  if told.cost > 0 then redis.call('HINCRBYFLOAT', run_key(run), 'spent_cost', string.format('%.9f', told.cost)) end
end

-- What is read when every call was accepted: usually nothing follows but what a test costs.
local PLAIN_STATE = { 'cost_ms', 'limit', 'breaker', 'broken', 'open_until', 'token_silent' }

-- What a test of the run costs after accepted calls; nil when they may raise the limit or close the breaker.
local function take_plain_feedback(endpoint, busy_ms, timed, silent, ended, cost_ms)
  local known, limit, breaker, broken, open_until, token_silent =
    unpack(redis.call('HMGET', endpoint_key(endpoint), unpack(PLAIN_STATE)))
  if breaker and (broken or open_until) then return nil end
  if limit and calls_going_on(endpoint) + ended >= 0.8 * math.floor(tonumber(limit) or 0) then return nil end
  local mean = busy_ms / timed
  local of_endpoint = string.format('%.3f', averaged(known, mean, timed))
  if silent > 0 and not token_silent then
    redis.call('HSET', endpoint_key(endpoint), 'cost_ms', of_endpoint, 'token_silent', '1')
  else
    redis.call('HSET', endpoint_key(endpoint), 'cost_ms', of_endpoint)
  end
  return string.format('%.3f', averaged(cost_ms, mean, timed))
end

-- `ended`: jobs that were freed before this, in the same step. Callers offer the endpoint afterwards. `of_run`: where the caller
-- gathers what it writes to the hash of the run; without it, it is written here. Answers what a test of the run costs by now.
local function take_feedback(run, endpoint, text, ended, cost_ms, budget, of_run)
  if text == '' then return cost_ms end
  local spent_at = string.find(text, ';', 1, true)
  if spent_at then
    local calls, tokens, cost = string.match(text, '^(%d+) (%d+) (%S+)$', spent_at + 1)
    if budget and calls then spend(run, { calls = tonumber(calls), tokens = tonumber(tokens), cost = tonumber(cost) or 0 }) end
    text = string.sub(text, 1, spent_at - 1)
    if text == '' then return cost_ms end
  end
  local told
  local calls, busy_ms, timed, silent = string.match(text, '^%+(%d+) ([%d.]+) (%d+) (%d+)$')
  if calls then
    calls, busy_ms, timed, silent = tonumber(calls), tonumber(busy_ms), tonumber(timed), tonumber(silent)
    local cost = not budget and timed > 0 and take_plain_feedback(endpoint, busy_ms, timed, silent, ended, cost_ms)
    if cost then
      if of_run then of_run[#of_run + 1], of_run[#of_run + 2] = 'cost_ms', cost
      else redis.call('HSET', run_key(run), 'cost_ms', cost) end
      return cost
    end
    told = { calls = calls, accepted = calls, answered = calls, congested = 0, begun_ms = 0, late = 0, failed = 0, hold_ms = 0,
      busy_ms = busy_ms, timed = timed, tokens = 0, metered = 0, silent = silent, cost = 0, unsent = 0 }
  else
    told = read_feedback(text)
    if not told then return cost_ms end
  end
  local values, state, set = redis.call('HMGET', endpoint_key(endpoint), unpack(ENDPOINT_STATE)), {}, {}
  for i, name in ipairs(ENDPOINT_STATE) do state[name] = values[i] or nil end
  if told.timed > 0 then
    local mean = told.busy_ms / told.timed
    cost_ms = string.format('%.3f', averaged(cost_ms, mean, told.timed))
    if of_run then of_run[#of_run + 1], of_run[#of_run + 2] = 'cost_ms', cost_ms
    else redis.call('HSET', run_key(run), 'cost_ms', cost_ms) end
    set.cost_ms = string.format('%.3f', averaged(state.cost_ms, mean, told.timed))
  end
  -- Named twice in one batch, a call was made once all the same.
  told.calls = math.min(told.calls, math.max(ended, 1))
  if budget then spend(run, told) end
  if told.congested + told.late > 0 or told.hold_ms > 0 or state.limit then
    adapt(endpoint, state, set, told, calls_going_on(endpoint) + ended)
  end
  if state.breaker then trip(endpoint, state, set, told) end
  if told.tokens > 0 or told.silent > 0 then use_tokens(state, set, told) end
  if told.unsent > 0 then return_rate(endpoint, told.unsent) end
  local changed, gone = {}, {}
  for name, value in pairs(set) do
    if value then changed[#changed + 1], changed[#changed + 2] = name, type(value) == 'number' and string.format('%.3f', value) or value
    else gone[#gone + 1] = name end
  end
  if #changed > 0 then redis.call('HSET', endpoint_key(endpoint), unpack(changed)) end
  if #gone > 0 then redis.call('HDEL', endpoint_key(endpoint), unpack(gone)) end
  return cost_ms
end
