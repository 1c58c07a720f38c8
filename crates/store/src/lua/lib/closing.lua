-- From open (or reopening) to `collecting`, in the same step as the reason for it.
local COLLECT_GRACE_MS = 30000
local function begin_collection(run, endpoint, reason)
  redis.call('HSET', run_key(run), 'state', 'collecting', 'collecting_at', now_text)
  if reason then redis.call('HSET', run_key(run), 'stop', reason) end
  displace(run, endpoint)
  redis.call('ZREM', key('paused'), run)
  redis.call('ZADD', key('control'), now_text, 'collect:' .. run)
  redis.call('ZADD', key('deadlines'), whole(now + COLLECT_GRACE_MS), run)
  ring()
end
