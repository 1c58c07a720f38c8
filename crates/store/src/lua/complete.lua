--- complete: stores results, frees what they held, begins the collection at zero; then claims.
-- The first terminal result of a test wins; a holder whose right moved on changes nothing but a counter.
-- Promises: NO-LOST-TEST, RESULT-IDEMPOTENT, ZOMBIE-HARMLESS, COUNTDOWN-EXACT, COLLECT-ONCE, SEQUENTIAL-ORDER
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell control control:attempts control:owners lingering wakes tenants run:waits run:unmet
--   run:groups run:grouped run:group run:dependents ready:endpoints fleet endpoint:waiting endpoint:tenants
--   endpoint:lingering endpoint:history alarm paused deadlines dead:jobs dead clock mails delayed endpoint
--   endpoint:slots fence leases quarantine quarantine:reasons worker worker:jobs workers
-- ARGV: 1 worker incarnation; 2 its epoch; 3 tests wanted (at most 256); 4 control jobs wanted;
--   5 number of groups; then per group: run, captured values or '', what its attempts told of the endpoint or
--   '' (see `feedback`), number of parts; per part: fence, status, reason to give up or '', number of jobs (at most 256 in
--   all), and per job: index, result
-- Answers: { number, word pairs of the jobs that were not stored, counted from 1: already | lost | closed | unknown },
--   answer of claim
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
local worker, words, claims
-- The first run that has something to claim and is not in line: it goes there, or is served at once. See `serve_directly`.
local comer

-- Of the jobs of one run: parts with the same fence, status and reason to give up, and the indices of all. Answers them and
-- where the next group begins.
local function read_group(at, number)
  local parts, indices, count = {}, {}, 0
  for i = 1, number do
    local jobs = tonumber(ARGV[at + 3])
    parts[i] = { fence = ARGV[at], status = ARGV[at + 1], give_up = ARGV[at + 2], first = at + 4, count = jobs }
    at = at + 4
    for _ = 1, jobs do
      count = count + 1
      indices[count] = ARGV[at]
      at = at + 2
    end
  end
  return parts, indices, at
end

-- Whether this worker holds all of them, by the fences they were given with. Also answers which were tried before. One claim
-- gives many jobs the same owner entry, so each entry is looked at once.
local function all_held(parts, indices, owners)
  local repeated, i = {}, 0
  for _, part in ipairs(parts) do
    local right = worker .. '|' .. part.fence .. '|'
    local length, untried, tried = #right, nil, {}
    for _ = 1, part.count do
      i = i + 1
      local owner = owners[i]
      if owner ~= untried then
        if not owner then return false end
        if not tried[owner] then
          if string.sub(owner, 1, length) ~= right then return false end
          if string.sub(owner, length + 1, length + 2) == '1|' then untried = owner else tried[owner] = true end
        end
        if tried[owner] then repeated[#repeated + 1] = indices[i] end
      end
    end
  end
  return true, repeated
end

local function count_up(counts, status, number) counts[status] = (counts[status] or 0) + number end

-- What is to be done when all is as it should be: every job held by this worker, none with a result, the run open.
local function plain_verdict(run, parts, indices, repeated, shaped)
  local verdict = { accepted = #indices, freed = #indices, discarded = 0, indices = indices, held = indices, jobs = {},
    repeated = repeated, kept = {}, given_up = {}, counts = {}, late = {}, parts = parts, statuses = shaped and {} }
  local prefix, jobs = run .. '/', verdict.jobs
  for i, index in ipairs(indices) do jobs[i] = prefix .. index end
  local before = 0
  for _, part in ipairs(parts) do
    count_up(verdict.counts, part.status, part.count)
    local is_kept = part.status ~= 'Pass' and part.status ~= 'Skipped'
    if is_kept or shaped or part.give_up ~= '' then
      for i = before + 1, before + part.count do
        if is_kept then verdict.kept[#verdict.kept + 1] = indices[i] end
        if shaped then verdict.statuses[i] = part.status end
        if part.give_up ~= '' then
          local known = #verdict.given_up
          verdict.given_up[known + 1], verdict.given_up[known + 2] = indices[i], part.give_up
        end
      end
    end
    before = before + part.count
  end
  return verdict
end

-- What is to be done otherwise, job by job: some is stored, some is freed, some is discarded. `first`: the number of the first job.
local function judge(run, parts, open, owners, stored, first)
  local verdict = { indices = {}, held = {}, jobs = {}, repeated = {}, kept = {}, given_up = {}, counts = {}, late = {},
    statuses = {}, pairs = {} }
  local accepted, freed, discarded, seen, i = 0, 0, 0, {}, 0
  for _, part in ipairs(parts) do
    local right = worker .. '|' .. part.fence .. '|'
    for at = part.first, part.first + 2 * part.count - 2, 2 do
      i = i + 1
      local index, result = ARGV[at], ARGV[at + 1]
      local owner = owners[i]
      local word
      if seen[index] then
        -- Twice in one batch: the first is judged, the second compared with what came of it.
        word = ((stored[i] or seen[index]) == result) and 'already' or 'lost'
      elseif not owner or string.sub(owner, 1, #right) ~= right then
        word = (stored[i] == result) and 'already' or 'lost'
      else
        freed = freed + 1
        verdict.held[freed], verdict.jobs[freed] = index, job_id(run, index)
        if string.sub(owner, #right + 1, #right + 2) ~= '1|' then verdict.repeated[#verdict.repeated + 1] = index end
        if stored[i] then word = (stored[i] == result) and 'already' or 'lost'
        elseif not open then word = 'closed'
        else
          word = 'stored'
          accepted = accepted + 1
          verdict.indices[accepted], verdict.statuses[accepted] = index, part.status
          verdict.pairs[accepted * 2 - 1], verdict.pairs[accepted * 2] = index, result
          count_up(verdict.counts, part.status, 1)
          if part.status ~= 'Pass' and part.status ~= 'Skipped' then verdict.kept[#verdict.kept + 1] = index end
          if part.give_up ~= '' then
            local known = #verdict.given_up
            verdict.given_up[known + 1], verdict.given_up[known + 2] = index, part.give_up
          end
        end
      end
      if word == 'lost' or word == 'closed' then
        discarded = discarded + 1
        verdict.late[#verdict.late + 1] = job_id(run, index) .. '|' .. part.fence
        -- Only a server that lost its owner entry leaves it listed with a worker that does not hold it.
        if not owner or string.sub(owner, 1, #worker + 1) ~= worker .. '|' then
          redis.call('SREM', worker_key(worker, 'jobs'), job_id(run, index))
        end
      end
      seen[index] = seen[index] or (word == 'stored' and result) or 'refused'
      if word ~= 'stored' then words[#words + 1], words[#words + 2] = first + i - 1, word end
    end
  end
  verdict.accepted, verdict.freed, verdict.discarded = accepted, freed, discarded
  return verdict
end

local function free_all(run, endpoint, verdict, shaped, dialogues)
  -- Calls of a closed run that went on: their worker says that they stopped.
  if #verdict.late > 0 then
    verdict.lingered = redis.call('ZREM', endpoint_key(endpoint, 'lingering'), unpack(verdict.late))
    redis.call('ZREM', key('lingering'), unpack(verdict.late))
  end
  if verdict.freed == 0 then return end
  -- A plain verdict has freed their owner entries to begin with.
  if not verdict.parts then redis.call('HDEL', run_key(run, 'owners'), unpack(verdict.held)) end
  redis.call('ZREM', key('leases'), unpack(verdict.jobs))
  redis.call('SREM', worker_key(worker, 'jobs'), unpack(verdict.jobs))
  -- Some may have been freed before: their endpoint has answered.
  verdict.ended = redis.call('SREM', endpoint_key(endpoint, 'slots'), unpack(verdict.jobs))
  if #verdict.repeated > 0 then redis.call('HDEL', run_key(run, 'tries'), unpack(verdict.repeated)) end
  if dialogues then redis.call('HDEL', run_key(run, 'dialogues'), unpack(verdict.held)) end
  if shaped then
    for _, index in ipairs(verdict.held) do leave_group(run, index) end
  end
end

-- `set`: what is to be written to the hash of the run. The count of the first status has been read.
local function add_counts(run, verdict, status, known, set)
  for name, count in pairs(verdict.counts) do
    if name == status then
      if known and not is_whole(known, 0) then error({ err = 'ERR hash value is not an integer' }) end
      set[#set + 1], set[#set + 2] = 'count:' .. name, whole((tonumber(known) or 0) + count)
    else
      redis.call('HINCRBY', run_key(run), 'count:' .. name, count)
    end
  end
end

local function store(run, verdict, shaped, mode)
  for i = 1, #verdict.given_up, 2 do
    local index = verdict.given_up[i]
    local id = job_id(run, index)
    local payload = redis.call('HGET', run_key(run, 'tests'), index) or ''
    redis.call('ZADD', key('dead'), now_text, id)
    redis.call('HSET', key('dead:jobs'), id, cjson.encode({ reason = verdict.given_up[i + 1], payload = payload }))
  end
  if #verdict.kept > 0 then keep(run, verdict.kept) end
  if verdict.parts then
    for _, part in ipairs(verdict.parts) do
      redis.call('HSET', run_key(run, 'results'), unpack(ARGV, part.first, part.first + 2 * part.count - 1))
    end
  else
    redis.call('HSET', run_key(run, 'results'), unpack(verdict.pairs))
  end
  redis.call('HDEL', run_key(run, 'tests'), unpack(verdict.indices))
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

-- What follows for the run: the next test released, or the collection. Answers whether somebody may be waiting at its endpoint.
local function move_on(run, fields, captured, stop, stored, set)
  local endpoint, tenant = fields[FIELD.ENDPOINT], fields[FIELD.TENANT] or 'default'
  local left = tonumber(fields[FIELD.TOTAL]) - stored
  redis.call('SET', run_key(run, 'countdown'), left)
  if fields[FIELD.MODE] == 'Sequential' then
    fields[FIELD.RELEASED_AT] = now_text
    set[#set + 1], set[#set + 2] = 'released_at', fields[FIELD.RELEASED_AT]
    if captured ~= '' then
      fields[FIELD.CAPTURED] = captured
      set[#set + 1], set[#set + 2] = 'captured', captured
    end
  end
  if left <= 0 or stop then
    write_run(run, set)
    begin_collection(run, endpoint, left > 0 and stop or nil)
    return true
  end
  if fields[FIELD.NEXT] == fields[FIELD.TOTAL] and redis.call('LLEN', run_key(run, 'again')) == 0 then
    write_run(run, set)
    return true
  end
  local somebody_waits = redis.call('EXISTS', key('paused'), endpoint_key(endpoint, 'tenants')) > 0
  if claims and not comer and not somebody_waits and not fields[FIELD.BUDGET] then
    -- Written with the claim.
    comer = { run = run, endpoint = endpoint, tenant = tenant, fields = fields, set = set, stored = stored }
    return false
  end
  write_run(run, set)
  if comer or not claims then
    place(run, endpoint, tenant, claims)
  elseif somebody_waits and redis.call('ZSCORE', waiting_key(endpoint, tenant), run) then
    -- It may be the one that is served next, and has just been read. A budget may be spent by now.
    if not fields[FIELD.BUDGET] then just_read[run] = fields end
  elseif not (somebody_waits and redis.call('ZSCORE', key('paused'), run)) then
    comer = { run = run, endpoint = endpoint, tenant = tenant, set = set }
  end
  return somebody_waits
end

-- What is read of a run, with the count of one status.
local WITH_COUNT = {}
local function fields_with(status)
  local names = WITH_COUNT[status]
  if not names then
    names = { unpack(RUN_FIELDS) }
    names[FIELD.COUNT] = 'count:' .. status
    WITH_COUNT[status] = names
  end
  return names
end

local function settle(run, captured, told, parts, indices, first)
  local status = parts[1].status
  local fields = redis.call('HMGET', run_key(run), unpack(fields_with(status)))
  local endpoint, shaped, budget = fields[FIELD.ENDPOINT], fields[FIELD.SHAPED], fields[FIELD.BUDGET]
  if not fields[FIELD.STATE] then
    for i, index in ipairs(indices) do
      free(run, index, worker, nil)
      words[#words + 1], words[#words + 2] = first + i - 1, 'unknown'
    end
    return true
  end
  local owners = redis.call('HMGET', run_key(run, 'owners'), unpack(indices))
  local stored = redis.call('HLEN', run_key(run, 'results'))
  local open = is_open(fields[FIELD.STATE])
  local held, repeated = all_held(parts, indices, owners)
  -- Every test has either its payload or its result: where the two add up, one that is held has no result.
  local plain = open and held and stored + redis.call('HLEN', run_key(run, 'tests')) == tonumber(fields[FIELD.TOTAL])
  -- The same index twice is found out by the number of owner entries; what is done about it goes by those read before.
  plain = plain and redis.call('HDEL', run_key(run, 'owners'), unpack(indices)) == #indices
  local verdict
  if plain then verdict = plain_verdict(run, parts, indices, repeated, shaped)
  else verdict = judge(run, parts, open, owners, redis.call('HMGET', run_key(run, 'results'), unpack(indices)), first) end
  free_all(run, endpoint, verdict, shaped, fields[FIELD.DIALOGUES])
  local set = {}
  -- Told once: a call that is repeated because its answer was lost frees nothing.
  local lingered = verdict.lingered or 0
  if verdict.freed + lingered > 0 then
    fields[FIELD.COST_MS] = take_feedback(run, endpoint, told, (verdict.ended or 0) + lingered, fields[FIELD.COST_MS], budget, set)
  end
  if verdict.discarded > 0 then redis.call('HINCRBY', run_key(run), 'discarded', verdict.discarded) end
  local somebody_waits = true
  if verdict.accepted > 0 then
    -- Counted afterwards: a count that is no number sets the run aside, and must not cost it results.
    store(run, verdict, shaped, fields[FIELD.MODE])
    add_counts(run, verdict, status, fields[FIELD.COUNT], set)
    local stop = false
    if fields[FIELD.FAIL_FAST] then
      write_run(run, set)
      stop = stops_now(run, verdict, fields[FIELD.FAIL_FAST]) and (fields[FIELD.FAIL_REASON] or 'fail_fast')
    end
    somebody_waits = move_on(run, fields, captured, stop, stored + verdict.accepted, set)
    if budget then
      end_if_spent(run, endpoint)
      if comer and comer.run == run and not is_open(redis.call('HGET', run_key(run), 'state')) then comer = nil end
    end
  else
    write_run(run, set)
  end
  if somebody_waits and (verdict.freed > 0 or #verdict.late > 0) then
    if claims then offer_soon(endpoint) else offer(endpoint) end
  end
  return true
end
--@call
worker, words, comer = ARGV[1], {}, nil
-- Whether it claims itself, or leaves what it frees to others.
claims = tonumber(ARGV[3]) > 0
local at, number = 6, 1
for _ = 1, tonumber(ARGV[5]) do
  local run, captured, told = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local parts, indices, next_at = read_group(at + 4, tonumber(ARGV[at + 3]))
  at = next_at
  local before = #words
  -- Nothing may come in between that could keep it from being written.
  if comer then guarded(comer.run, write_run, comer.run, comer.set) end
  if not guarded(run, settle, run, captured, told, parts, indices, number) then
    -- Its run was set aside: these results cannot be stored, or are already and cannot be told.
    for i = #words, before + 1, -1 do words[i] = nil end
    for i = number, number + #indices - 1 do words[#words + 1], words[#words + 2] = i, 'closed' end
    if comer and comer.run == run then comer = nil end
  end
  number = number + #indices
end
local sound, claimed = pcall(claim, worker, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), comer)
if not sound then
  -- A key that belongs to nobody is damaged. What results left to be written does not go with it.
  if comer then pcall(write_run, comer.run, comer.set) end
  error(claimed)
end
-- A worker that wants nothing more leaves what it released to others.
if tonumber(ARGV[3]) < 1 and redis.call('EXISTS', key('ready:endpoints')) == 1 then ring() end
return { words, claimed }
