--- heartbeat: renews everything a worker holds with one write, and answers which of its runs are closed.
-- A worker whose jobs were taken while it was away is answered `unregistered` and lets go of them.
-- Promises: ZOMBIE-HARMLESS, CANCEL-STOPS, OUTAGE-GRACE
-- Flags: allow-oom
-- Keys: workers worker run
-- ARGV: 1 worker incarnation; 2 lease ms; 3 state for operators, or '' when it has not changed since the last answer;
--   4… run id, epoch pairs: what it holds tests of
-- Answers: ok (now ms, then run, epoch pairs of what is closed) | unregistered
--@include keys
--@include time
local worker = ARGV[1]
local lease_until = whole(now + tonumber(ARGV[2]))
-- Usually one command: it renews only who is there. It changes nothing either when the lease ends at that time already.
if redis.call('ZADD', key('workers'), 'XX', 'CH', lease_until, worker) == 0
  and not redis.call('ZSCORE', key('workers'), worker) then return { 'unregistered' } end
local closed = {}
for i = 4, #ARGV, 2 do
  -- A run that cannot be read is one that is about to be ended; one that was reopened meanwhile has closed what was before.
  local found = redis.pcall('HMGET', run_key(ARGV[i]), 'state', 'epoch')
  if (found[1] ~= 'queued' and found[1] ~= 'progress') or (found[2] or '1') ~= ARGV[i + 1] then
    closed[#closed + 1] = ARGV[i]
    closed[#closed + 1] = ARGV[i + 1]
  end
end
if ARGV[3] ~= '' then redis.call('HSET', worker_key(worker), 'state', ARGV[3]) end
return { 'ok', now, unpack(closed) }
