--- complete: stores results, frees what they held, begins the collection at zero; then claims.
-- The first terminal result of a test wins; a holder whose right moved on changes nothing but a counter.
-- Promises: NO-LOST-TEST, RESULT-IDEMPOTENT, ZOMBIE-HARMLESS, COUNTDOWN-EXACT, COLLECT-ONCE, SEQUENTIAL-ORDER
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:kept run:owners run:results run:summary run:tests run:tries aside
--   bell control control:attempts control:owners lingering wakes tenants run:waits run:unmet run:groups run:grouped
--   run:group run:dependents ready:endpoints fleet endpoint:waiting endpoint:tenants endpoint:lingering
--   endpoint:history alarm paused deadlines dead:jobs dead clock mails delayed endpoint endpoint:slots fence leases
--   quarantine quarantine:reasons worker worker:jobs workers
-- ARGV: 1 worker incarnation; 2 its epoch; 3 tests wanted (at most 256); 4 control jobs wanted;
--   5 number of groups; then per group: run, captured values or '', what its attempts told of the endpoint or
--   '' (see `feedback`), number of jobs (at most 256), and per job: index, fence, status, reason to give up or '', result
-- Answers: { a word per job in the order given: stored | already | lost | closed | unknown }, answer of claim
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
--@include counting
--@include closing
--@include spending
--@include noting
--@include feedback
--@include damage
--@include keeping
--@include claiming
local worker = ARGV[1]
local words = {}
-- Whether it claims itself, or leaves what it frees to others.
local claims = tonumber(ARGV[3]) > 0
-- The first run that has something to claim and is not in line: it goes there, or is served at once.
local comer
-- Arguments of a job, from its first one on.
local FENCE, STATUS, GIVE_UP, RESULT, PER_JOB = 1, 2, 3, 4, 5
-- Of an owner entry, what a token has to be equal to. One claim gives many jobs the same fence.
local tokens = {}
local function token(fence)
  local known = tokens[fence]
  if not known then
    known = worker .. '|' .. fence .. '|'
    tokens[fence] = known
  end
  return known
end

-- Checks a group against the owners and sorts it into what is stored, what is freed and what is discarded. Runs once
-- per result of every run: nothing is allocated here that a plain result does not need.
local function judge(run, first, count, open, owners, stored)
  local verdict = { pairs = {}, indices = {}, jobs = {}, held = {}, repeated = {}, given_up = {}, kept = {}, counts = {},
    late = {}, statuses = {} }
  local pairs_, indices, jobs, held = verdict.pairs, verdict.indices, verdict.jobs, verdict.held
  local accepted, freed, discarded, seen = 0, 0, 0, {}
  for i = 1, count do
    local at = first + (i - 1) * PER_JOB
    local index, result = ARGV[at], ARGV[at + RESULT]
    local owner, right = owners[i], token(ARGV[at + FENCE])
    local word
    if seen[index] then
      -- Twice in one batch: the first is judged, the second compared with what came of it.
      word = ((stored[i] or seen[index]) == result) and 'already' or 'lost'
    elseif not owner or string.sub(owner, 1, #right) ~= right then
      word = (stored[i] == result) and 'already' or 'lost'
    else
      freed = freed + 1
      held[freed], jobs[freed] = index, job_id(run, index)
      if string.sub(owner, #right + 1, #right + 2) ~= '1|' then verdict.repeated[#verdict.repeated + 1] = index end
      if stored[i] then word = (stored[i] == result) and 'already' or 'lost'
      elseif not open then word = 'closed'
      else
        word = 'stored'
        accepted = accepted + 1
        indices[accepted] = index
        verdict.statuses[accepted] = ARGV[at + STATUS]
        pairs_[accepted * 2 - 1], pairs_[accepted * 2] = index, result
        local status = ARGV[at + STATUS]
        verdict.counts[status] = (verdict.counts[status] or 0) + 1
        if status ~= 'Pass' and status ~= 'Skipped' then verdict.kept[#verdict.kept + 1] = index end
        if ARGV[at + GIVE_UP] ~= '' then verdict.given_up[#verdict.given_up + 1] = at end
      end
    end
    if word == 'lost' or word == 'closed' then
      discarded = discarded + 1
      verdict.late[#verdict.late + 1] = job_id(run, index) .. '|' .. ARGV[at + FENCE]
      -- Only a server that lost its owner entry leaves it listed with a worker that does not hold it.
      if not owner or string.sub(owner, 1, #worker + 1) ~= worker .. '|' then
        redis.call('SREM', worker_key(worker, 'jobs'), job_id(run, index))
      end
    end
    seen[index] = seen[index] or (word == 'stored' and result) or 'refused'
    words[#words + 1] = word
  end
  verdict.accepted, verdict.freed, verdict.discarded = accepted, freed, discarded
  return verdict
end

local function free_all(run, endpoint, verdict, shaped)
  -- Calls of a closed run that went on: their worker says that they stopped.
  if #verdict.late > 0 then
    verdict.lingered = redis.call('ZREM', endpoint_key(endpoint, 'lingering'), unpack(verdict.late))
    redis.call('ZREM', key('lingering'), unpack(verdict.late))
  end
  if verdict.freed == 0 then return end
  redis.call('HDEL', run_key(run, 'owners'), unpack(verdict.held))
  redis.call('ZREM', key('leases'), unpack(verdict.jobs))
  redis.call('SREM', worker_key(worker, 'jobs'), unpack(verdict.jobs))
  redis.call('SREM', endpoint_key(endpoint, 'slots'), unpack(verdict.jobs))
  if #verdict.repeated > 0 then redis.call('HDEL', run_key(run, 'tries'), unpack(verdict.repeated)) end
  if shaped then
    for _, index in ipairs(verdict.held) do leave_group(run, index) end
  end
end

local function store(run, verdict, shaped, mode)
  for _, at in ipairs(verdict.given_up) do
    local id = job_id(run, ARGV[at])
    local payload = redis.call('HGET', run_key(run, 'tests'), ARGV[at]) or ''
    redis.call('ZADD', key('dead'), whole(now), id)
    redis.call('HSET', key('dead:jobs'), id, cjson.encode({ reason = ARGV[at + GIVE_UP], payload = payload }))
  end
  if #verdict.kept > 0 then keep(run, verdict.kept) end
  redis.call('HSET', run_key(run, 'results'), unpack(verdict.pairs))
  redis.call('HDEL', run_key(run, 'tests'), unpack(verdict.indices))
  for status, count in pairs(verdict.counts) do redis.call('HINCRBY', run_key(run), 'count:' .. status, count) end
  if shaped then
    for i, index in ipairs(verdict.indices) do
      release_dependents(run, index, verdict.statuses[i] == 'Pass', mode)
      redis.call('HDEL', run_key(run, 'unmet'), index)
    end
  end
end

-- As many tests failed as the run may have: it stops here, on all workers.
local function stops_now(run, verdict, most)
  if not (verdict.counts.Fail or verdict.counts.Error) then return false end
  local failed, errors = unpack(redis.call('HMGET', run_key(run), 'count:Fail', 'count:Error'))
  return (tonumber(failed) or 0) + (tonumber(errors) or 0) >= (tonumber(most) or 1)
end

-- What follows for the run: the next test released, or the collection.
local function move_on(run, endpoint, mode, total, captured, stop, next_index, tenant)
  local left = write_countdown(run, total)
  if mode == 'Sequential' then
    redis.call('HSET', run_key(run), 'released_at', whole(now))
    if captured ~= '' then redis.call('HSET', run_key(run), 'captured', captured) end
  end
  if left <= 0 then
    begin_collection(run, endpoint, nil)
  elseif stop then
    begin_collection(run, endpoint, stop)
  else
    local pending = next_index ~= whole(total) or redis.call('LLEN', run_key(run, 'again')) > 0
    if not pending then return end
    if comer or not claims then
      place(run, endpoint, tenant, claims)
    elseif not redis.call('ZSCORE', key('paused'), run) and not redis.call('ZSCORE', waiting_key(endpoint, tenant), run) then
      comer = { run, endpoint, tenant }
    end
  end
end

local function settle(run, captured, told, first, count)
  local indices = {}
  for i = 1, count do indices[i] = ARGV[first + (i - 1) * PER_JOB] end
  local state, endpoint, mode, total, shaped, cost_ms, budget, most_failures, stop_reason, next_index, tenant =
    unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'mode', 'total', 'shaped', 'cost_ms', 'budget',
      'fail_fast', 'fail_reason', 'next', 'tenant'))
  if not state then
    for _, index in ipairs(indices) do
      free(run, index, worker, nil)
      words[#words + 1] = 'unknown'
    end
    return true
  end
  local owners = redis.call('HMGET', run_key(run, 'owners'), unpack(indices))
  local stored = redis.call('HMGET', run_key(run, 'results'), unpack(indices))
  local verdict = judge(run, first, count, is_open(state), owners, stored)
  free_all(run, endpoint, verdict, shaped)
  -- Told once: a call that is repeated because its answer was lost frees nothing.
  local ended = verdict.freed + (verdict.lingered or 0)
  if ended > 0 then take_feedback(run, endpoint, told, ended, cost_ms, budget) end
  if verdict.discarded > 0 then redis.call('HINCRBY', run_key(run), 'discarded', verdict.discarded) end
  if verdict.accepted > 0 then store(run, verdict, shaped, mode) end
  if verdict.accepted > 0 then
    local stop = most_failures and stops_now(run, verdict, most_failures) and (stop_reason or 'fail_fast')
    move_on(run, endpoint, mode, tonumber(total), captured, stop, next_index, tenant or 'default')
    if budget then
      end_if_spent(run, endpoint)
      if comer and comer[1] == run and not is_open(redis.call('HGET', run_key(run), 'state')) then comer = nil end
    end
  end
  if verdict.freed > 0 or #verdict.late > 0 then
    if claims then offer_soon(endpoint) else offer(endpoint) end
  end
  return true
end

local at = 6
for _ = 1, tonumber(ARGV[5]) do
  local run, captured, told, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  local before = #words
  if not guarded(run, settle, run, captured, told, at, count) then
    -- Its run was set aside: these results cannot be stored, or are already and cannot be told.
    for i = before + 1, before + count do words[i] = 'closed' end
  end
  at = at + count * PER_JOB
end
local claimed = claim(worker, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), comer)
-- A worker that wants nothing more leaves what it released to others.
if tonumber(ARGV[3]) < 1 and redis.call('EXISTS', key('ready:endpoints')) == 1 then ring() end
return { words, claimed }
