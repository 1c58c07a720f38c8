--- collect: ends a run: its final state, its summary, its notification and its retention in one step.
-- Promises: COLLECT-ONCE, COLLECT-COMPLETE, NOTIFY-ONCE-PLUS, NO-LEAK, NO-LOST-TEST
-- Flags: allow-oom
-- Keys: run run:config run:tests run:kept run:again run:tries run:owners run:results run:countdown run:dialogues
--   run:summary leases worker:jobs control control:attempts control:owners wakes run:waits run:unmet run:needs
--   run:groups run:grouped run:group run:dependents ready:endpoints endpoint:waiting endpoint:tenants mails deadlines
--   outbox bell
-- ARGV: 1 worker incarnation; 2 run id; 3 fence of the collection; 4 final state; 5 summary; 6 outbox record or '';
--   7 retention ms
-- Answers: committed | incomplete (tests without a result) | lost | closed (state) | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
local worker, run = ARGV[1], ARGV[2]
local job = 'collect:' .. run
local state, endpoint, total = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'total'))
if not state then return { 'unknown' } end
if state ~= 'collecting' then return { 'closed', state } end
if not holds(redis.call('HGET', key('control:owners'), job), worker, ARGV[3]) then return { 'lost' } end
local left = tonumber(total) - redis.call('HLEN', run_key(run, 'results'))
if left ~= 0 then return { 'incomplete', left } end
redis.call('HSET', run_key(run), 'state', ARGV[4], 'ended_at', now_text)
redis.call('SET', run_key(run, 'summary'), ARGV[5])
redis.call('HDEL', key('control:owners'), job)
redis.call('HDEL', key('control:attempts'), job)
redis.call('ZREM', key('leases'), job)
redis.call('SREM', worker_key(worker, 'jobs'), job)
redis.call('ZREM', key('control'), job)
redis.call('ZREM', key('deadlines'), run)
displace(run, endpoint)
redis.call('UNLINK', run_key(run, 'tests'), run_key(run, 'again'), run_key(run, 'tries'), run_key(run, 'owners'),
  run_key(run, 'waits'), run_key(run, 'unmet'), run_key(run, 'dialogues'))
forget_groups(run)
if ARGV[6] ~= '' then
  redis.call('HSET', key('outbox'), run, ARGV[6])
  redis.call('HSET', run_key(run), 'mail', 'queued')
  redis.call('ZADD', key('mails'), now_text, 'notify:' .. run)
  ring()
end
-- Retention starts when the run has ended, never before: a live run has no TTL.
for _, part in ipairs({ 'config', 'kept', 'results', 'countdown', 'summary', 'needs', 'dependents', 'grouped', 'groups' }) do
  redis.call('PEXPIRE', run_key(run, part), ARGV[7])
end
redis.call('PEXPIRE', run_key(run), ARGV[7])
return { 'committed' }
