--- activate: makes a staged run claimable in one O(1) step, or says why not. Safe to repeat.
-- Promises: SUBMIT-DURABLE, SUBMIT-ATOMIC, COUNTDOWN-EXACT
-- Flags: none
-- Keys: run run:tests run:countdown clock endpoint paused endpoints deadlines bell endpoint:lingering endpoint:slots
--   endpoint:tenants fleet ready:endpoints run:again run:kept run:needs run:results run:unmet run:waits wakes
--   endpoint:waiting
-- ARGV: 1 run id; 2 number of tests; 3 run deadline ms; 4… name, value pairs of the endpoint's limits (see `opening`)
-- Answers: activated | already (state) | incomplete (tests staged) | empty | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include opening
local run, total = ARGV[1], tonumber(ARGV[2])
local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
if not state then return { 'unknown' } end
if state ~= 'preparing' then return { 'already', state } end
if total < 1 then return { 'empty' } end
local staged = redis.call('HLEN', run_key(run, 'tests'))
if staged ~= total then return { 'incomplete', staged } end
if redis.call('HEXISTS', run_key(run), 'shaped') == 1 then
  -- Everything is given out from `again`, in the order it was arranged in.
  local arranged = redis.call('LLEN', run_key(run, 'again'))
  if redis.call('HGET', run_key(run), 'mode') ~= 'Sequential' then
    arranged = arranged + redis.call('HLEN', run_key(run, 'waits'))
  end
  if arranged ~= total then return { 'incomplete', arranged } end
  redis.call('HSET', run_key(run), 'next', whole(total))
end
redis.call('HSET', run_key(run), 'total', whole(total))
redis.call('SET', run_key(run, 'countdown'), whole(total))
set_limits(endpoint, 4, #ARGV)
open_run(run, endpoint, tonumber(ARGV[3]))
return { 'activated' }
