-- Where a run with pending tests waits: in `ready`, in its endpoint's `parked` while that has no room, or in `paused`
-- while somebody wants it to wait. Invariant: an open run with a claimable test is in exactly one of the three.
local function virtual_time(run)
  -- Also asked of runs other than the one that is worked on: one that cannot be read must not stop that.
  local own = tonumber(redis.pcall('HGET', run_key(run), 'vt')) or 0
  local clock = tonumber(redis.call('GET', key('clock'))) or 0
  return math.max(own, clock)
end
local function place(run, endpoint)
  if redis.call('ZSCORE', key('ready'), run) then return end
  if redis.call('ZSCORE', endpoint_key(endpoint, 'parked'), run) then return end
  if redis.call('ZSCORE', key('paused'), run) then return end
  redis.call('ZADD', key('ready'), virtual_time(run), run)
end
-- Freed room of an endpoint wakes as many runs as there are freed slots, lowest virtual time first.
local function unpark(endpoint, count)
  local parked = endpoint_key(endpoint, 'parked')
  if count < 1 or redis.call('ZCARD', parked) == 0 then return end
  local runs = redis.call('ZPOPMIN', parked, math.min(count, 256))
  for i = 1, #runs, 2 do
    redis.call('ZADD', key('ready'), virtual_time(runs[i]), runs[i])
  end
end
-- A run that leaves `ready` unserved passes the room it was woken for on, or the parked runs would wait for ever.
local function displace(run, endpoint)
  redis.call('ZREM', endpoint_key(endpoint, 'parked'), run)
  if redis.call('ZREM', key('ready'), run) == 1 then unpark(endpoint, 1) end
end
local function is_open(state) return state == 'queued' or state == 'progress' end
