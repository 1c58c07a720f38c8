-- The limit of an endpoint is the one that the run which was opened last came with; '' means none.
local function set_limit(endpoint, limit)
  if limit == '' then redis.call('HDEL', endpoint_key(endpoint), 'max_concurrency')
  else redis.call('HSET', endpoint_key(endpoint), 'max_concurrency', limit) end
  -- It may just have been raised: let the parked runs look again, they are parked anew where it is full.
  unpark(endpoint, 256)
end
-- Makes the tests of a run claimable. Its deadline counts from here.
local function open_run(run, endpoint, deadline)
  redis.call('HSET', run_key(run), 'state', 'queued', 'activated_at', whole(now))
  -- Until when a run may need the endpoint's limits; the sweeper goes by it.
  redis.call('ZADD', key('endpoints'), 'GT', whole(now + deadline), endpoint)
  redis.call('ZADD', key('deadlines'), whole(now + deadline), run)
  place(run, endpoint)
  ring()
end
