--- settle_notification: what became of one attempt to deliver. Never changes a run's state.
-- Promises: NOTIFY-ONCE-PLUS, ZOMBIE-HARMLESS
-- Flags: allow-oom
-- Keys: run control:attempts control:owners mails leases worker:jobs outbox dead dead:jobs
-- ARGV: 1 worker incarnation; 2 run id; 3 fence; 4 sent | off | again | dead; 5 delay ms for again; 6 reason or ''
-- Answers: settled | lost
--@include keys
--@include time
--@include admission
--@include placing
--@include shaping
--@include holding
local worker, run, outcome = ARGV[1], ARGV[2], ARGV[4]
local job = 'notify:' .. run
if not holds(redis.call('HGET', key('control:owners'), job), worker, ARGV[3]) then return { 'lost' } end
redis.call('HDEL', key('control:owners'), job)
redis.call('ZREM', key('leases'), job)
redis.call('SREM', worker_key(worker, 'jobs'), job)
local known = redis.call('EXISTS', run_key(run)) == 1
if outcome == 'again' then
  redis.call('ZADD', key('mails'), whole(now + tonumber(ARGV[5])), job)
  if known then redis.call('HSET', run_key(run), 'mail_error', ARGV[6]) end
  return { 'settled' }
end
local record = redis.call('HGET', key('outbox'), run) or ''
redis.call('HDEL', key('outbox'), run)
redis.call('HDEL', key('control:attempts'), job)
if known then redis.call('HSET', run_key(run), 'mail', outcome) end
if known and ARGV[6] ~= '' then redis.call('HSET', run_key(run), 'mail_error', ARGV[6]) end
if outcome == 'dead' then
  redis.call('ZADD', key('dead'), now_text, job)
  redis.call('HSET', key('dead:jobs'), job, cjson.encode({ reason = ARGV[6], payload = record }))
end
return { 'settled' }
