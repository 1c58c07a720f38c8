-- Taking back the result of a test that is tried again.

-- In ascending order, also when two callers choose different tests of the same epoch at the same time: it is the order
-- of a Sequential run.
local function queue_again(run, index)
  local again = run_key(run, 'again')
  local waiting = redis.call('LLEN', again)
  local low, high = 0, waiting
  -- A caller names its tests in order, so the end is the place nearly always.
  if waiting > 0 and tonumber(redis.call('LINDEX', again, -1)) < tonumber(index) then low = waiting end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if tonumber(redis.call('LINDEX', again, middle)) < tonumber(index) then low = middle + 1 else high = middle end
  end
  if low == waiting then redis.call('RPUSH', again, index)
  else redis.call('LINSERT', again, 'BEFORE', redis.call('LINDEX', again, low), index) end
end

-- The test has its payload again instead of its result, and waits.
local function retake(run, index, status, payload)
  local job = job_id(run, index)
  redis.call('HDEL', run_key(run, 'results'), index)
  redis.call('HSET', run_key(run, 'tests'), index, payload)
  redis.call('HDEL', run_key(run, 'kept'), index)
  queue_again(run, index)
  if redis.call('HINCRBY', run_key(run), 'count:' .. status, -1) < 1 then
    redis.call('HDEL', run_key(run), 'count:' .. status)
  end
  redis.call('ZREM', key('dead'), job)
  redis.call('HDEL', key('dead:jobs'), job)
end
