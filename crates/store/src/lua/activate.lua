--- activate: makes a staged run claimable in one O(1) step, or says why not. Safe to repeat.
-- Promises: SUBMIT-DURABLE, SUBMIT-ATOMIC, COUNTDOWN-EXACT
-- Flags: none
-- Keys: run run:tests run:countdown ready clock endpoint endpoint:parked paused endpoints deadlines bell
-- ARGV: 1 run id; 2 number of tests; 3 run deadline ms; 4 endpoint max_concurrency or ''
-- Answers: activated | already (state) | incomplete (tests staged) | empty | unknown
--@include keys
--@include time
--@include bell
--@include placing
--@include opening
local run, total = ARGV[1], tonumber(ARGV[2])
local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
if not state then return { 'unknown' } end
if state ~= 'preparing' then return { 'already', state } end
if total < 1 then return { 'empty' } end
local staged = redis.call('HLEN', run_key(run, 'tests'))
if staged ~= total then return { 'incomplete', staged } end
redis.call('HSET', run_key(run), 'total', whole(total))
redis.call('SET', run_key(run, 'countdown'), whole(total))
set_limit(endpoint, ARGV[4])
open_run(run, endpoint, tonumber(ARGV[3]))
return { 'activated' }
