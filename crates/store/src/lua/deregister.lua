--- deregister: forgets a worker that holds nothing.
-- Promises: GRACEFUL
-- Flags: allow-oom
-- Keys: workers worker worker:jobs
-- ARGV: 1 worker incarnation
-- Answers: gone | holding (number of jobs)
--@include keys
local worker = ARGV[1]
local holding = redis.call('SCARD', worker_key(worker, 'jobs'))
if holding > 0 then return { 'holding', holding } end
redis.call('ZREM', key('workers'), worker)
redis.call('DEL', worker_key(worker))
return { 'gone' }
