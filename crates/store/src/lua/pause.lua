--- pause: no test of the run starts from here on, until `resume`. What is in flight ends as usual, retries wait, and the
-- deadline of the run goes on: also a run that nobody resumes ends.
-- Promises: NO-PHANTOM, TERMINAL-ALWAYS
-- Flags: allow-oom
-- Keys: run paused endpoint:tenants endpoint:waiting ready:endpoints wakes
-- ARGV: 1 run id
-- Answers: paused | already | closed (state) | unknown
--@include keys
--@include time
--@include admission
--@include placing
local run = ARGV[1]
local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
if not state then return { 'unknown' } end
if not is_open(state) then return { 'closed', state } end
if redis.call('ZADD', key('paused'), 'NX', now_text, run) == 0 then return { 'already' } end
displace(run, endpoint)
return { 'paused' }
