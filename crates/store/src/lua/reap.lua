--- reap: takes the jobs of workers that stopped renewing, and jobs past their hard deadline, back to the queue.
-- After a gap in the ticks (the server or every reaper was away), and when it meets another server process than at its
-- last tick (a restart or a failover, which may have lost the newest renewals), it waits one lease first, so that holders
-- that stayed alive can renew; they did nothing wrong.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS, ATTEMPTS-BOUNDED, TAKEOVER-BOUND, OUTAGE-GRACE
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell clock control control:attempts control:owners wakes run:waits run:grouped run:group
--   ready:endpoints fleet endpoint:waiting endpoint:tenants endpoint:lingering endpoint:history deadlines mails
--   delayed endpoint endpoint:slots leases outbox paused quarantine quarantine:reasons reaper worker worker:jobs
--   workers
-- ARGV: 1 lease ms
-- Answers: reaped (workers lost, jobs taken back, 1 when there are more) | waiting (ms until reaping resumes)
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
--@include serving
local JOBS_AT_MOST, WORKERS_AT_MOST, ASIDE_LEASE_MS = 300, 16, 10000
local lease = tonumber(ARGV[1])
local tick, grace, known = unpack(redis.call('HMGET', key('reaper'), 'tick', 'grace_until', 'server'))
local grace_until = tonumber(grace) or 0
local server = server_process(known)
local another = known and known ~= server
if not tick or another or now - tonumber(tick) > lease / 2 then grace_until = now + lease end
redis.call('HSET', key('reaper'), 'tick', now_text, 'grace_until', whole(grace_until), 'server', server)
if now < grace_until then return { 'waiting', grace_until - now } end

local jobs_taken, workers_lost = 0, 0
-- A job without owner: nothing of ours leaves one, but a server may lose a key, and no test may be lost with it.
local function adopt(run, index, job)
  local state, endpoint, next_index = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'next'))
  if not state then return end
  if redis.call('SREM', endpoint_key(endpoint, 'slots'), job) == 1 then offer(endpoint) end
  leave_group(run, index)
  if not is_open(state) or tonumber(index) >= tonumber(next_index) then return end
  if redis.call('HEXISTS', run_key(run, 'results'), index) == 1 then return end
  if redis.call('ZSCORE', key('delayed'), job) or redis.call('LPOS', run_key(run, 'again'), index) then return end
  if redis.call('HEXISTS', run_key(run, 'waits'), index) == 1 then return end
  redis.call('LPUSH', run_key(run, 'again'), index)
  place(run, endpoint)
end
local function take_from(job, worker, run, index)
  local held
  if run then held = redis.call('HGET', run_key(run, 'owners'), index)
  else held = redis.call('HGET', key('control:owners'), job) end
  local owner = read_owner(held)
  if not owner then
    redis.call('ZREM', key('leases'), job)
    if run then adopt(run, index, job) end
    return false
  end
  if worker and owner.worker ~= worker then return false end
  if run then
    lose_request(run)
    release_test(run, index, owner, owner.attempt, owner.lost + 1, now)
 
  else release_control(job, owner.worker, now, false) end
  return true
end
-- Takes a job from its holder, whoever that is, or only from `worker`. Answers whether it was taken.
local function take(job, worker)
  jobs_taken = jobs_taken + 1
  local run, index = split_job(job)
  if not run then return take_from(job, worker) end
  local taken = guarded(run, take_from, job, worker, run, index)
  -- Its run was set aside. Whoever repairs it finds what is held of it by the leases; until then they are not looked at.
  if taken == nil then redis.call('ZADD', key('leases'), 'XX', whole(now + ASIDE_LEASE_MS), job) end
  return taken
end

local overdue_workers = redis.call('ZRANGE', key('workers'), '-inf', now_text, 'BYSCORE', 'LIMIT', 0, WORKERS_AT_MOST)
for _, worker in ipairs(overdue_workers) do
  local room = JOBS_AT_MOST - jobs_taken
  if room < 1 then break end
  local jobs = redis.call('SRANDMEMBER', worker_key(worker, 'jobs'), room)
  for _, job in ipairs(jobs) do
    -- An entry that belongs to somebody else, or to nobody, is only a leftover here.
    if not take(job, worker) then redis.call('SREM', worker_key(worker, 'jobs'), job) end
  end
  if redis.call('SCARD', worker_key(worker, 'jobs')) == 0 then
    redis.call('ZREM', key('workers'), worker)
    redis.call('DEL', worker_key(worker))
    workers_lost = workers_lost + 1
  end
end
if jobs_taken < JOBS_AT_MOST then
  local overdue = redis.call('ZRANGE', key('leases'), '-inf', now_text, 'BYSCORE', 'LIMIT', 0, JOBS_AT_MOST - jobs_taken)
  for _, job in ipairs(overdue) do take(job) end
end
if jobs_taken > 0 then ring() end
local more = jobs_taken >= JOBS_AT_MOST or workers_lost == WORKERS_AT_MOST
return { 'reaped', workers_lost, jobs_taken, more and 1 or 0 }
