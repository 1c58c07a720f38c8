-- How many more tests may begin at an endpoint: what the limits, the holds and the calls that go on leave of it. Every limit
-- is computed from what is there, so none can drift when a process dies (LIMITS-HOLD).
local UNBOUNDED = 1000000000

-- Tests in flight, and calls that go on although the right to them is over: they keep their place until the worker says
-- that they stopped, or until it has renewed once more and been told to stop them.
local function calls_going_on(endpoint)
  return redis.call('SCARD', endpoint_key(endpoint, 'slots'))
    + redis.call('ZCOUNT', endpoint_key(endpoint, 'lingering'), '(' .. now_text, '+inf')
end

-- When the first of the calls that linger has done so for long enough, in ms: that may give room by time alone.
local function first_lingering(endpoint)
  local first = redis.call('ZRANGE', endpoint_key(endpoint, 'lingering'), '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, 1,
    'WITHSCORES')
  return tonumber(first[2])
end

-- Generic cell rate algorithm (ITU-T I.371): `tat` is the theoretical arrival time of the next call, in µs. It conforms when
-- that is at most `slack` ahead of now. Answers how many calls conform, and at which ms one will.
local function conforming(tat, interval, slack)
  local from = math.max(tonumber(tat) or 0, now_us)
  local count = math.floor((now_us + slack - from) / interval) + 1
  if count >= 1 then return count end
  return 0, (from - slack) / 1000
end

-- Of a budget of tokens: what is left of it, less what the calls in flight will use if they are like those before. Until the
-- first response has said how many it used, one call at a time shows it; where responses do not say it, nothing is limited.
local function affordable(going, interval, slack, tat, mean, silent)
  if not mean then return silent and UNBOUNDED or 1 - going end
  local from = math.max(tonumber(tat) or 0, now_us)
  local left = (now_us + slack - from) / interval
  local count = math.floor(left / mean) - going
  if count >= 1 then return count end
  local wanted = math.min((going + 1) * mean, slack / interval)
  -- A single call that uses more than the whole budget begins when nothing of it is used.
  if going == 0 and left >= wanted then return 1 end
  local at = (from + wanted * interval - slack) / 1000
  -- By time alone only when it will be enough for one more; else by the end of a call.
  if going > 0 and (going + 1) * mean > slack / interval then at = nil end
  return 0, at
end

local ADMISSION = { 'max_concurrency', 'rate_us', 'rate_slack', 'tat', 'tokens_us', 'tokens_slack', 'token_tat', 'token_mean',
  'token_silent', 'limit', 'retry_until', 'hold_until', 'open_until' }

-- Answers how many tests may begin now; when none may, also the ms (with fractions) at which time alone changes that, or nil,
-- and which limit it is. `values`: those of ADMISSION, when they have been read already.
local function admission(endpoint, values)
  local most, interval, slack, tat, token_interval, token_slack, token_tat, token_mean, token_silent, limit, retry_until,
    hold_until, open_until = unpack(values or redis.call('HMGET', endpoint_key(endpoint), unpack(ADMISSION)))
  if hold_until == '-1' then return 0, nil, 'hold' end
  local held, word = tonumber(hold_until) or 0, 'hold'
  if (tonumber(retry_until) or 0) > held then held, word = tonumber(retry_until), 'retry_after' end
  if (tonumber(open_until) or 0) > held then held, word = tonumber(open_until), 'breaker' end
  if held > now then return 0, held, word end
  local room, at
  word, room = nil, UNBOUNDED
  if most or limit or open_until or token_interval then
    local going = calls_going_on(endpoint)
    -- Nobody knows what a limit that is no number was to be: one call at a time keeps to any.
    if most then room, word = (tonumber(most) or 1) - going, 'max_concurrency' end
    if limit then
      local adapted = math.max(1, math.floor(tonumber(limit) or 1)) - going
      if adapted < room then room, word = adapted, 'adaptive' end
    end
    -- Half open: one call decides.
    if open_until and 1 - going < room then room, word = 1 - going, 'breaker' end
    if room < 1 then return 0, first_lingering(endpoint), word end
    if token_interval then
      local count, when = affordable(going, tonumber(token_interval) or UNBOUNDED, tonumber(token_slack) or 0, token_tat,
        tonumber(token_mean), token_silent)
      if count < room then room, at, word = count, when, 'tokens' end
      if room < 1 then
        -- Calls in flight count, so the end of one may come first.
        local ends = first_lingering(endpoint)
        return 0, ends and math.min(ends, at or ends) or at, word
      end
    end
  end
  if interval then
    local count, when = conforming(tat, tonumber(interval) or UNBOUNDED, tonumber(slack) or 0)
    if count < room then room, at, word = count, when, 'rate' end
  end
  return room, at, word
end

-- Of the fleet: how many tests may begin; when none may, also the ms at which time alone changes that, or nil. Control jobs are
-- not counted; they have leases too.
local fleet_settings
local function fleet_setting(which)
  fleet_settings = fleet_settings or redis.call('HMGET', key('fleet'), 'max_concurrency', 'order')
  return fleet_settings[which]
end
-- Known without looking.
local function no_fleet_settings() fleet_settings = {} end
local function finishes_first() return fleet_setting(2) == 'finish-first' end
local function fleet_room()
  local most = fleet_setting(1)
  if not most then return UNBOUNDED end
  local room = (tonumber(most) or 1) - redis.call('ZCARD', key('leases')) + redis.call('HLEN', key('control:owners'))
    - redis.call('ZCOUNT', key('lingering'), '(' .. now_text, '+inf')
  if room >= 1 then return room end
  local lingering = redis.call('ZRANGE', key('lingering'), '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  return room, tonumber(lingering[2])
end
--@call
fleet_settings = nil
