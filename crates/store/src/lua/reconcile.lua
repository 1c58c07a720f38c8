--- reconcile: begins a new epoch of a worker and hands back, unspent, every job it is recorded to hold but does
-- not know of: those of a claim whose answer was lost. Claims of the old epoch that are still on their way are
-- refused from now on.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS
-- Flags: allow-oom
-- Keys: run run:owners run:tries run:again ready clock endpoint:parked endpoint:slots leases workers worker
--   worker:jobs delayed control control:owners bell
-- ARGV: 1 worker incarnation; 2… ids of the jobs it knows of
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
local epoch = redis.call('HINCRBY', worker_key(worker), 'epoch', 1)
local known = {}
for i = 2, #ARGV do known[ARGV[i]] = true end
local returned, more = 0, 0
for _, job in ipairs(redis.call('SMEMBERS', worker_key(worker, 'jobs'))) do
  if not known[job] then
    if returned == HAND_BACK_AT_MOST then more = 1 break end
    returned = returned + 1
    local run, index = split_job(job)
    if run then
      local owner = read_owner(redis.call('HGET', run_key(run, 'owners'), index))
      if owner and owner.worker == worker then
        release_test(run, index, owner, owner.attempt - 1, owner.lost, now)
      else
        redis.call('SREM', worker_key(worker, 'jobs'), job)
      end
    else
      release_control(job, worker, now)
    end
  end
end
if returned > 0 then ring() end
return { 'ok', epoch, returned, more }
