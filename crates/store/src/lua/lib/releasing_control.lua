-- A control job back to its lane; the collection of a run that is not `collecting` (any more) has nothing to do.
-- `unspent`: the claim does not count as an attempt.
local function release_control(job, worker, due, unspent)
  redis.call('HDEL', key('control:owners'), job)
  redis.call('ZREM', key('leases'), job)
  redis.call('SREM', worker_key(worker, 'jobs'), job)
  local run = string.match(job, '^collect:(.*)$')
  if run and redis.call('HGET', run_key(run), 'state') ~= 'collecting' then
    redis.call('HDEL', key('control:attempts'), job)
    return
  end
  if unspent and redis.call('HINCRBY', key('control:attempts'), job, -1) < 1 then
    redis.call('HDEL', key('control:attempts'), job)
  end
  redis.call('ZADD', key('control'), whole(due), job)
end
