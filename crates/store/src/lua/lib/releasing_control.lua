-- A control job back to its lane; the collection of a run that is not `collecting` (any more), and a
-- notification that is not in the outbox, have nothing to do.
-- `unspent`: the claim does not count as an attempt.
local function release_control(job, worker, due, unspent)
  redis.call('HDEL', key('control:owners'), job)
  redis.call('ZREM', key('leases'), job)
  redis.call('SREM', worker_key(worker, 'jobs'), job)
  local run = string.match(job, '^collect:(.*)$')
  local mail = string.match(job, '^notify:(.*)$')
  if (run and redis.pcall('HGET', run_key(run), 'state') ~= 'collecting')
    or (mail and redis.call('HEXISTS', key('outbox'), mail) == 0) then
    redis.call('HDEL', key('control:attempts'), job)
    return
  end
  if unspent then
    local attempts = redis.pcall('HINCRBY', key('control:attempts'), job, -1)
    if type(attempts) ~= 'number' or attempts < 1 then redis.call('HDEL', key('control:attempts'), job) end
  end
  redis.call('ZADD', lane(job), whole(due), job)
end
