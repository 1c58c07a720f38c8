-- Key names. KEYS[1] is the shard's root, such as `tf:{0}`; `keys.rs` spells the same names for Rust.
local root = KEYS[1]
local function key(name) return root .. ':' .. name end
local function run_key(run, part)
  if part then return root .. ':run:' .. run .. ':' .. part end
  return root .. ':run:' .. run
end
-- Always with a part at the end: the name before it is somebody else's and may itself end in `:slots`.
local function endpoint_key(endpoint, part)
  if part then return root .. ':endpoint:' .. endpoint .. ':' .. part end
  return root .. ':endpoint:' .. endpoint .. ':limits'
end
local function worker_key(worker, part)
  if part then return root .. ':worker:' .. worker .. ':' .. part end
  return root .. ':worker:' .. worker
end
-- Of a group of tests: those in flight (`slots`), and those that wait for room (`waiting`).
local function group_key(run, group, part) return root .. ':run:' .. run .. ':group:' .. group .. ':' .. part end
-- The runs of one tenant that wait at an endpoint. A tenant's name has no colon.
local function waiting_key(endpoint, tenant) return root .. ':endpoint:' .. endpoint .. ':' .. tenant .. ':waiting' end
