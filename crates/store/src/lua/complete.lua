--- complete: stores results, frees what they held, begins the collection at zero; then claims.
-- The first terminal result of a test wins; a holder whose right moved on changes nothing but a counter.
-- Promises: NO-LOST-TEST, RESULT-IDEMPOTENT, ZOMBIE-HARMLESS, COUNTDOWN-EXACT, COLLECT-ONCE, SEQUENTIAL-ORDER
-- Flags: allow-oom
-- Keys: run run:tests run:again run:tries run:owners run:results run:countdown ready clock endpoint
--   endpoint:parked endpoint:slots leases workers worker worker:jobs delayed control control:attempts
--   control:owners fence bell deadlines dead dead:jobs
-- ARGV: 1 worker incarnation; 2 its epoch; 3 tests wanted (at most 256); 4 control jobs wanted;
--   5 number of groups; then per group: run, captured values or '', number of jobs (at most 256), and per
--   job: index, fence, status, reason to give up or '', result
-- Answers: { a word per job in the order given: stored | already | lost | closed | unknown }, answer of claim
--@include keys
--@include time
--@include bell
--@include placing
--@include holding
--@include closing
--@include counting
--@include claiming
local worker = ARGV[1]
local words = {}

-- Checks a group against the owners; answers what may be stored and what must be freed.
local function judge(open, results, owners, stored)
  local accepted, freed, seen, discarded = {}, {}, {}, 0
  for i, job in ipairs(results) do
    local word
    if seen[job.index] then
      -- Twice in one batch: the first is judged, the second compared with what came of it.
      word = ((stored[i] or seen[job.index]) == job.result) and 'already' or 'lost'
    elseif not holds(owners[i], worker, job.fence) then
      word = (stored[i] == job.result) and 'already' or 'lost'
    else
      freed[#freed + 1] = job
      job.owner = read_owner(owners[i])
      if stored[i] then word = (stored[i] == job.result) and 'already' or 'lost'
      elseif not open then word = 'closed'
      else word = 'stored' accepted[#accepted + 1] = job end
    end
    if word == 'lost' or word == 'closed' then discarded = discarded + 1 end
    seen[job.index] = seen[job.index] or (word == 'stored' and job.result) or 'refused'
    words[#words + 1] = word
  end
  return accepted, freed, discarded
end

local function free_all(run, endpoint, freed)
  if #freed == 0 then return end
  local jobs, indices, repeated = {}, {}, {}
  for i, job in ipairs(freed) do
    jobs[i] = job_id(run, job.index)
    indices[i] = job.index
    if job.owner.attempt > 1 then repeated[#repeated + 1] = job.index end
  end
  redis.call('HDEL', run_key(run, 'owners'), unpack(indices))
  redis.call('ZREM', key('leases'), unpack(jobs))
  redis.call('SREM', worker_key(worker, 'jobs'), unpack(jobs))
  redis.call('SREM', endpoint_key(endpoint, 'slots'), unpack(jobs))
  if #repeated > 0 then redis.call('HDEL', run_key(run, 'tries'), unpack(repeated)) end
end

local function store(run, accepted)
  local pairs_, indices, counts = {}, {}, {}
  for i, job in ipairs(accepted) do
    pairs_[i * 2 - 1], pairs_[i * 2] = job.index, job.result
    indices[i] = job.index
    counts[job.status] = (counts[job.status] or 0) + 1
    if job.give_up ~= '' then
      local id = job_id(run, job.index)
      local payload = redis.call('HGET', run_key(run, 'tests'), job.index) or ''
      redis.call('ZADD', key('dead'), whole(now), id)
      redis.call('HSET', key('dead:jobs'), id, cjson.encode({ reason = job.give_up, payload = payload }))
    end
  end
  redis.call('HSET', run_key(run, 'results'), unpack(pairs_))
  redis.call('HDEL', run_key(run, 'tests'), unpack(indices))
  for status, count in pairs(counts) do redis.call('HINCRBY', run_key(run), 'count:' .. status, count) end
end

-- What follows for the run: the next test released, or the collection.
local function move_on(run, endpoint, mode, total, captured, accepted)
  local left = write_countdown(run, total)
  if mode == 'Sequential' then
    redis.call('HSET', run_key(run), 'released_at', whole(now))
    if captured ~= '' then redis.call('HSET', run_key(run), 'captured', captured) end
  end
  if left <= 0 then
    begin_collection(run, endpoint, nil)
  elseif #accepted > 0 then
    local pending = redis.call('HGET', run_key(run), 'next') ~= whole(total)
      or redis.call('LLEN', run_key(run, 'again')) > 0
    if pending then place(run, endpoint) end
  end
end

local function settle(run, captured, results)
  local indices = {}
  for i, job in ipairs(results) do indices[i] = job.index end
  local state, endpoint, mode, total = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'mode', 'total'))
  if not state then
    for _, job in ipairs(results) do
      free(run, job.index, worker, nil)
      words[#words + 1] = 'unknown'
    end
    return
  end
  local owners = redis.call('HMGET', run_key(run, 'owners'), unpack(indices))
  local stored = redis.call('HMGET', run_key(run, 'results'), unpack(indices))
  local accepted, freed, discarded = judge(is_open(state), results, owners, stored)
  free_all(run, endpoint, freed)
  if discarded > 0 then redis.call('HINCRBY', run_key(run), 'discarded', discarded) end
  if #accepted > 0 then store(run, accepted) end
  unpark(endpoint, #freed)
  if #accepted > 0 then move_on(run, endpoint, mode, tonumber(total), captured, accepted) end
end

local at = 6
for _ = 1, tonumber(ARGV[5]) do
  local run, captured, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  at = at + 3
  local results = {}
  for i = 1, count do
    results[i] = { index = ARGV[at], fence = ARGV[at + 1], status = ARGV[at + 2], give_up = ARGV[at + 3],
      result = ARGV[at + 4] }
    at = at + 5
  end
  settle(run, captured, results)
end
local claimed = claim(worker, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
-- A worker that wants nothing more leaves what it released to others.
if tonumber(ARGV[3]) < 1 and redis.call('ZCARD', key('ready')) > 0 then ring() end
return { words, claimed }
