-- A control job back to its lane.
local function release_control(job, worker, due)
  redis.call('HDEL', key('control:owners'), job)
  redis.call('ZREM', key('leases'), job)
  redis.call('SREM', worker_key(worker, 'jobs'), job)
  redis.call('ZADD', key('control'), whole(due), job)
end
