--- create: begins a run in state `preparing`, or answers the run that its idempotency key already made. A run that
-- ended without ever being activated (its submission was abandoned or cancelled) was never acknowledged, so its key is
-- free again.
-- Promises: SUBMIT-IDEMPOTENT, SUBMIT-ATOMIC
-- Flags: none
-- Keys: run run:config runs deadlines submission
-- ARGV: 1 run id; 2 configuration document; 3 idempotency key or ''; 4 body digest; 5 staging timeout ms;
--   6 life of the idempotency key ms; 7… field, value pairs of the run hash
-- Answers: created | exists (run, state) | conflict (run)
--@include keys
--@include time
local run, submission = ARGV[1], ARGV[3]
if submission ~= '' then
  local known = redis.call('HMGET', key('submission:' .. submission), 'run', 'digest')
  if known[1] then
    local state, total = unpack(redis.call('HMGET', run_key(known[1]), 'state', 'total'))
    local never_activated = (state == 'cancelled' or state == 'failed') and not total
    if not never_activated then
      if known[2] ~= ARGV[4] then return { 'conflict', known[1] } end
      return { 'exists', known[1], state or 'gone' }
    end
  end
end
local state = redis.call('HGET', run_key(run), 'state')
if state then return { 'exists', run, state } end
redis.call('HSET', run_key(run), 'state', 'preparing', 'next', '0', 'created_at', now_text, unpack(ARGV, 7))
redis.call('SET', run_key(run, 'config'), ARGV[2])
redis.call('ZADD', key('runs'), now_text, run)
redis.call('ZADD', key('deadlines'), whole(now + tonumber(ARGV[5])), run)
if submission ~= '' then
  redis.call('HSET', key('submission:' .. submission), 'run', run, 'digest', ARGV[4])
  redis.call('PEXPIRE', key('submission:' .. submission), ARGV[6])
end
return { 'created' }
