--- resume: tests of a paused run can be claimed again.
-- Promises: NO-LOST-TEST, PROGRESS-AFTER-HEAL
-- Flags: allow-oom
-- Keys: run run:again clock paused bell endpoint endpoint:lingering endpoint:slots endpoint:tenants endpoint:waiting
--   fleet ready:endpoints wakes
-- ARGV: 1 run id
-- Answers: resumed | already | closed (state) | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
local run = ARGV[1]
local state, endpoint, next_index, total = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'next', 'total'))
if not state then return { 'unknown' } end
if not is_open(state) then return { 'closed', state } end
if redis.call('ZREM', key('paused'), run) == 0 then return { 'already' } end
if next_index ~= total or redis.call('LLEN', run_key(run, 'again')) > 0 then
  place(run, endpoint)
  ring()
end
return { 'resumed' }
