--- reconcile: begins a new epoch of a worker and hands back, unspent, every job it is recorded to hold but does
-- not know of (or knows of with another fence): those of a claim whose answer was lost. Claims of the old epoch that are still on their way are
-- refused from now on.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS
-- Flags: allow-oom
-- Keys: run run:owners run:tries run:again ready clock endpoint:parked paused endpoint:slots leases workers worker
--   worker:jobs delayed control control:attempts control:owners bell
-- ARGV: 1 worker incarnation; 2… job id, fence pairs of the jobs it knows of
-- Answers: ok (epoch, jobs handed back, 1 when there are more) | unregistered
--@include keys
--@include time
--@include bell
--@include placing
--@include holding
--@include releasing
--@include releasing_control
local HAND_BACK_AT_MOST = 500
local worker = ARGV[1]
if not redis.call('ZSCORE', key('workers'), worker) then return { 'unregistered' } end
local epoch = whole(next_fence(redis.call('HGET', worker_key(worker), 'epoch')))
redis.call('HSET', worker_key(worker), 'epoch', epoch)
local known = {}
for i = 2, #ARGV, 2 do known[ARGV[i]] = ARGV[i + 1] end
local returned, more = 0, 0
for _, job in ipairs(redis.call('SMEMBERS', worker_key(worker, 'jobs'))) do
  local run, index = split_job(job)
  local held
  if run then held = redis.call('HGET', run_key(run, 'owners'), index)
  else held = redis.call('HGET', key('control:owners'), job) end
  if not (known[job] and holds(held, worker, known[job])) then
    if returned == HAND_BACK_AT_MOST then more = 1 break end
    local owner = read_owner(held)
    if not owner or owner.worker ~= worker then
      -- It belongs to somebody else, or to nobody: only a leftover here.
      redis.call('SREM', worker_key(worker, 'jobs'), job)
    else
      returned = returned + 1
      if run then release_test(run, index, owner, owner.attempt - 1, owner.lost, now)
      else release_control(job, worker, now, true) end
    end
  end
end
if returned > 0 then ring() end
return { 'ok', epoch, returned, more }
