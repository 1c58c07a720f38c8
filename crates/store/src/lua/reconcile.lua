--- reconcile: begins a new epoch of a worker and hands back, unspent, every job it is recorded to hold but does
-- not know of (or knows of with another fence): those of a claim whose answer was lost. Claims of the old epoch that are
-- still on their way are refused from now on; and so is this call, if it arrives after a later one of the same worker:
-- what it names as known is then less than what the worker holds by now.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell clock control control:attempts control:owners wakes run:grouped run:group ready:endpoints
--   fleet endpoint:waiting endpoint:tenants endpoint:lingering endpoint:history deadlines mails delayed endpoint
--   endpoint:slots leases outbox paused quarantine quarantine:reasons worker worker:jobs workers
-- ARGV: 1 worker incarnation; 2 the epoch it has, as far as it knows; 3… job id, fence pairs of the jobs it knows of
-- Answers: ok (epoch, jobs handed back, 1 when there are more) | stale (the epoch it has by now) | unregistered
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
--@include lane
--@include closing
--@include spending
--@include damage
--@include releasing
--@include releasing_control
local HAND_BACK_AT_MOST = 500
local worker = ARGV[1]
if not redis.call('ZSCORE', key('workers'), worker) then return { 'unregistered' } end
local reached = redis.call('HGET', worker_key(worker), 'epoch')
if reached and reached ~= ARGV[2] then return { 'stale', reached } end
local epoch = next_fence(reached)
redis.call('HSET', worker_key(worker), 'epoch', epoch)
local known = {}
-- One job may be known by several fences: of the epoch before, whose task has not ended yet, and of this one.
for i = 3, #ARGV, 2 do known[ARGV[i] .. '|' .. ARGV[i + 1]] = true end
local returned, more = 0, 0
-- Answers `false` when there is no room for more, and `true` otherwise.
local function look_at(job, run, index)
  local held
  if run then held = redis.call('HGET', run_key(run, 'owners'), index)
  else held = redis.call('HGET', key('control:owners'), job) end
  local owner = read_owner(held)
  if owner and owner.worker == worker and known[job .. '|' .. owner.fence] then return true end
  if returned == HAND_BACK_AT_MOST then return false end
  if not owner or owner.worker ~= worker then
    -- It belongs to somebody else, or to nobody: only a leftover here.
    redis.call('SREM', worker_key(worker, 'jobs'), job)
    return true
  end
  returned = returned + 1
  if run then release_test(run, index, owner, owner.attempt - 1, owner.lost, now)
  else release_control(job, worker, now, true) end
  return true
end
for _, job in ipairs(redis.call('SMEMBERS', worker_key(worker, 'jobs'))) do
  local run, index = split_job(job)
  local looked
  if run then looked = guarded(run, look_at, job, run, index) else looked = look_at(job) end
  if looked == false then more = 1 break end
  -- Its run was set aside, and whoever repairs it frees what is held of it.
  if looked == nil then redis.call('SREM', worker_key(worker, 'jobs'), job) end
end
if returned > 0 then ring() end
return { 'ok', epoch, returned, more }
