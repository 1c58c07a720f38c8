-- The limits of an endpoint: what the run that was opened last came with (`run:…`), unless an operator has set something else
-- (`set:…`), which holds until it is cleared. What claims go by is derived from both here, and only here.
local LIMITS = { 'max_concurrency', 'rate', 'tokens', 'adaptive', 'breaker' }

-- A rate is `count/per_ms/burst`; the interval between two, and how far ahead of it one may come: the burst, and a quarter of
-- an interval more, so that a claim that comes late loses nothing. In any window whose share of the rate is whole there are
-- no more than that share and the burst.
local function interval_of(rate)
  local count, per, burst = string.match(rate or '', '^(%d+)/(%d+)/(%d+)$')
  if not count or tonumber(count) < 1 then return nil end
  local interval = tonumber(per) * 1000 / tonumber(count)
  return interval, tonumber(burst) * interval
end

local function set_or_drop(name, field, value)
  if value then redis.call('HSET', name, field, value) else redis.call('HDEL', name, field) end
end

local function derive_limits(endpoint)
  local name, effective = endpoint_key(endpoint), {}
  for _, limit in ipairs(LIMITS) do
    local run, set = unpack(redis.call('HMGET', name, 'run:' .. limit, 'set:' .. limit))
    -- An operator can also lift a limit that runs bring.
    effective[limit] = set or run or nil
    if set == 'none' then effective[limit] = nil end
    set_or_drop(name, limit, effective[limit])
  end
  local interval, burst = interval_of(effective.rate)
  set_or_drop(name, 'rate_us', interval and string.format('%.3f', interval))
  set_or_drop(name, 'rate_slack', interval and string.format('%.3f', burst - 0.75 * interval))
  -- A slower rate of before is not waited for.
  local tat = tonumber(redis.call('HGET', name, 'tat'))
  if tat and (not interval or tat > now_us + burst + interval) then
    set_or_drop(name, 'tat', interval and string.format('%.3f', now_us + interval))
  end
  interval, burst = interval_of(effective.tokens)
  set_or_drop(name, 'tokens_us', interval and string.format('%.3f', interval))
  set_or_drop(name, 'tokens_slack', interval and string.format('%.0f', burst))
  -- Nor is a smaller budget of before: no more is owed than all of this one.
  local token_tat = tonumber(redis.call('HGET', name, 'token_tat'))
  if not interval then redis.call('HDEL', name, 'token_tat', 'token_silent')
  elseif token_tat and token_tat > now_us + burst then redis.call('HSET', name, 'token_tat', whole(now_us + burst)) end
  if effective.adaptive == 'off' then
    redis.call('HDEL', name, 'limit', 'ceiling', 'met', 'rejected', 'first', 'decreased_ms', 'probe_ms', 'probe_wait', 'start')
  else
    local least, start = string.match(effective.adaptive or '', '^(%d+)/(%d*)$')
    local limit, decreased, begun_with = unpack(redis.call('HMGET', name, 'limit', 'decreased_ms', 'start'))
    limit, start = tonumber(limit), tonumber(start)
    -- A start that is new is one to go on from; one that is gone, without a refusal so far, leaves no limit.
    if start and (not limit or (tonumber(begun_with) ~= start and start > limit)) then limit = start end
    if not start and not decreased then limit = nil end
    if limit then limit = math.max(limit, tonumber(least) or 1) end
    set_or_drop(name, 'limit', limit and tostring(limit))
    set_or_drop(name, 'start', start and whole(start))
  end
  if not effective.breaker then redis.call('HDEL', name, 'broken', 'open_until', 'opened') end
  -- They may just have been raised.
  offer(endpoint)
end

-- `limits`: name, value pairs in `ARGV` from `first` on; what is not named is not limited.
local function set_limits(endpoint, first, last)
  local given = {}
  for at = first, last, 2 do given[ARGV[at]] = ARGV[at + 1] end
  for _, limit in ipairs(LIMITS) do set_or_drop(endpoint_key(endpoint), 'run:' .. limit, given[limit]) end
  derive_limits(endpoint)
end

-- Makes the tests of a run claimable. Its deadline counts from here, but for a recovery round: there the run goes on.
local function open_run(run, endpoint, deadline)
  local was, shaped, mode, recovering, deadline_at =
    unpack(redis.call('HMGET', run_key(run), 'state', 'shaped', 'mode', 'recovering', 'deadline_at'))
  if shaped and was == 'reopening' then arrange_again(run, mode) end
  local ends = whole(now + deadline)
  if was == 'reopening' and recovering then
    ends = whole(tonumber(deadline_at) or now)
    redis.call('HDEL', run_key(run), 'recovering')
    redis.call('HSET', run_key(run), 'state', 'progress', 'released_at', now_text)
  else
    redis.call('HSET', run_key(run), 'state', 'queued', 'activated_at', now_text, 'deadline_at', ends)
  end
  -- Until when a run may need the endpoint's limits; the sweeper goes by it.
  redis.call('ZADD', key('endpoints'), 'GT', ends, endpoint)
  redis.call('ZADD', key('deadlines'), ends, run)
  place(run, endpoint)
  ring()
end
