--- cancel: no test of the run starts from here on; the collection that marks the rest is queued in the same step.
-- Promises: CANCEL-STOPS, NO-PHANTOM, COLLECT-ONCE
-- Flags: allow-oom
-- Keys: run paused control deadlines bell endpoint:tenants endpoint:waiting ready:endpoints wakes
-- ARGV: 1 run id
-- Answers: cancelled | already (state) | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include closing
local run = ARGV[1]
local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
if not state then return { 'unknown' } end
if state == 'preparing' then
  -- Not acknowledged yet: the next chunk of its staging is refused, and the sweeper removes what is there.
  redis.call('HSET', run_key(run), 'state', 'cancelled', 'stop', 'cancelled', 'ended_at', now_text)
  redis.call('ZADD', key('deadlines'), now_text, run)
  return { 'cancelled' }
end
if not is_open(state) and state ~= 'reopening' then return { 'already', state } end
begin_collection(run, endpoint, 'cancelled')
return { 'cancelled' }
