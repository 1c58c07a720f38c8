--- heartbeat: renews everything a worker holds with one write, and answers which of its runs are closed.
-- A worker whose jobs were taken while it was away is answered `unregistered` and lets go of them.
-- Promises: ZOMBIE-HARMLESS, CANCEL-STOPS, OUTAGE-GRACE
-- Flags: allow-oom
-- Keys: workers worker run
-- ARGV: 1 worker incarnation; 2 lease ms; 3 state for operators; 4 tests in flight; 5… ids of runs it holds tests of
-- Answers: ok (now ms, closed runs…) | unregistered
--@include keys
--@include time
local worker = ARGV[1]
if not redis.call('ZSCORE', key('workers'), worker) then return { 'unregistered' } end
local closed = {}
for i = 5, #ARGV do
  local state = redis.call('HGET', run_key(ARGV[i]), 'state')
  if state ~= 'queued' and state ~= 'progress' then closed[#closed + 1] = ARGV[i] end
end
redis.call('ZADD', key('workers'), whole(now + tonumber(ARGV[2])), worker)
redis.call('HSET', worker_key(worker), 'seen_at', whole(now), 'state', ARGV[3], 'in_flight', ARGV[4])
return { 'ok', now, unpack(closed) }
