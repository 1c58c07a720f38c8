--- activate: makes a staged run claimable in one O(1) step, or says why not. Safe to repeat.
-- Promises: SUBMIT-DURABLE, SUBMIT-ATOMIC, COUNTDOWN-EXACT
-- Flags: none
-- Keys: run run:tests run:countdown ready clock endpoint endpoint:parked endpoints deadlines bell
-- ARGV: 1 run id; 2 number of tests; 3 run deadline ms; 4 endpoint max_concurrency or ''
-- Answers: activated | already (state) | incomplete (tests staged) | empty | unknown
--@include keys
--@include time
--@include bell
--@include placing
local run, total = ARGV[1], tonumber(ARGV[2])
local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
if not state then return { 'unknown' } end
if state ~= 'preparing' then return { 'already', state } end
if total < 1 then return { 'empty' } end
local staged = redis.call('HLEN', run_key(run, 'tests'))
if staged ~= total then return { 'incomplete', staged } end
redis.call('HSET', run_key(run), 'state', 'queued', 'total', whole(total), 'activated_at', whole(now))
redis.call('SET', run_key(run, 'countdown'), whole(total))
-- Until when a run may need the endpoint's limits; the sweeper goes by it.
redis.call('ZADD', key('endpoints'), 'GT', whole(now + tonumber(ARGV[3])), endpoint)
if ARGV[4] == '' then
  redis.call('HDEL', endpoint_key(endpoint), 'max_concurrency')
else
  redis.call('HSET', endpoint_key(endpoint), 'max_concurrency', ARGV[4])
end
-- The limit may just have been raised: let the parked runs look again, they are parked anew where it is full.
unpark(endpoint, 256)
redis.call('ZADD', key('deadlines'), whole(now + tonumber(ARGV[3])), run)
place(run, endpoint)
ring()
return { 'activated' }
