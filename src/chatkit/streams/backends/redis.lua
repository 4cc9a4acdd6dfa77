-- The scripts of chatkit.streams.backends.redis; "common" stands before each of them. ARGV[1] is the prefix of all keys.
--
-- prefix..'epoch'           changes when the server has lost its data
-- prefix..'workers'         sorted set: worker -> when its lease ends, milliseconds of the server's clock
-- prefix..'since'           hash: worker -> since when it has held its lease without a break
-- prefix..'worker:'..w      set: the running turns of a worker
-- prefix..'inbox:'..w       stream: what a worker is to hear of
-- prefix..'claims'          sorted set: claimed turn -> when the claim ends
-- prefix..'turn:'..id       hash: i info, t owner and thread as in the key of the thread's turns, h holder, l last number, s stop, e end, q p snapshot, r resumable
-- prefix..'events:'..id     stream: entry N-0 ends with the event numbered N, N-1 is the end mark
-- prefix..'thread:'..t      sorted set: the turns of a thread -> when they began. t is the owner and the thread's id as
--                           a JSON list; for turns that the version before began, the thread's id alone
-- prefix..'end:'..id        how a resumable turn ended, as long as idempotency keys are kept
-- prefix..'key:'..o..':'..k what an idempotency key is bound to

-- name: common
local p = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function renew(worker, lease)
  local until_ = tonumber(redis.call('ZSCORE', p .. 'workers', worker) or 0)
  if until_ < now then
    redis.call('HSET', p .. 'since', worker, now)
  end
  redis.call('ZADD', p .. 'workers', now + lease, worker)
end

local function finish(id, thread, holder, state, last, plain, retention, keys)
  local turn, events = p .. 'turn:' .. id, p .. 'events:' .. id
  local kept = retention
  if plain then
    -- No reader comes back, but one may be there.
    kept = math.min(retention, 10000)
    redis.call('ZREM', p .. 'thread:' .. thread, id)
  else
    redis.call('SET', p .. 'end:' .. id, state, 'PX', keys)
  end
  redis.call('XADD', events, last .. '-1', 'e', state)
  redis.call('HSET', turn, 'e', state, 'l', last)
  redis.call('SREM', p .. 'worker:' .. holder, id)
  redis.call('PEXPIRE', turn, kept)
  redis.call('PEXPIRE', events, kept)
  local others = false
  for _, other in ipairs(redis.call('ZRANGE', p .. 'thread:' .. thread, 0, -1)) do
    local known = redis.call('HMGET', p .. 'turn:' .. other, 'i', 'e')
    if not known[1] then
      redis.call('ZREM', p .. 'thread:' .. thread, other)
    elseif not known[2] then
      others = true
    end
  end
  if not others then
    redis.call('PEXPIRE', p .. 'thread:' .. thread, retention)
  end
end

-- name: open
-- worker, lease, id, owner and thread, info, epoch if there is none, resumable, again
local worker, id, thread = ARGV[2], ARGV[4], ARGV[5]
local epoch = redis.call('GET', p .. 'epoch')
if not epoch then
  epoch = ARGV[7]
  redis.call('SET', p .. 'epoch', epoch)
end
renew(worker, ARGV[3])
local held = redis.call('HGET', p .. 'turn:' .. id, 'h')
if held and (ARGV[9] == '1' or held ~= worker) then
  return epoch
end
redis.call('DEL', p .. 'events:' .. id)
redis.call('HSET', p .. 'turn:' .. id, 'i', ARGV[6], 't', thread, 'h', worker, 'l', 0, 'r', ARGV[8])
redis.call('SADD', p .. 'worker:' .. worker, id)
redis.call('ZADD', p .. 'thread:' .. thread, clock[1] * 1000000 + clock[2], id)
redis.call('PERSIST', p .. 'thread:' .. thread)
return epoch

-- name: save
-- worker, lease or 0, retention, retention of keys; of each turn: id, first, last, snapshot's number, first to keep,
-- end and plain in one, with tabs between them; the events; the snapshot if there is one. Few long arguments, and an
-- answer that holds only what is unusual, are what makes it cheap for the client.
local worker, lease = ARGV[2], tonumber(ARGV[3])
if lease > 0 then
  renew(worker, lease)
end
local answer, missing = {}, false
local at, number = 6, 0
while at <= #ARGV do
  local id, from, upto, based, keep, ending, plain =
    string.match(ARGV[at], '^([^\t]*)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t(%a*)\t(%d)$')
  local data, snapshot = ARGV[at + 1], nil
  at = at + 2
  if based ~= '0' then
    snapshot = ARGV[at]
    at = at + 1
  end
  local first, last = tonumber(from), tonumber(upto)
  local turn, events = p .. 'turn:' .. id, p .. 'events:' .. id
  local known = redis.call('HMGET', turn, 'h', 'l', 's', 'e')
  local status, saved = 0, tonumber(known[2] or 0)
  if not known[1] then
    status, missing = 2, true
  elseif known[1] ~= worker or (known[4] and ending == '') then
    status = 1
  elseif not known[4] then
    if first > saved + 1 and not snapshot then
      status = 3
    else
      if last > saved then
        if first <= last then
          redis.call('XADD', events, upto .. '-0', 'f', from, 'd', data)
        end
        redis.call('HSET', turn, 'l', upto)
        saved = last
      end
      if snapshot then
        redis.call('HSET', turn, 'q', based, 'p', snapshot)
        redis.call('XTRIM', events, 'MINID', keep)
      end
      if ending ~= '' then
        local thread = redis.call('HGET', turn, 't')
        finish(id, thread, worker, ending, saved, plain == '1', tonumber(ARGV[4]), ARGV[5])
      end
    end
  end
  if status ~= 0 or known[3] then
    answer[#answer + 1] = number
    answer[#answer + 1] = status
    answer[#answer + 1] = saved
    answer[#answer + 1] = known[3] and 1 or 0
  end
  number = number + 1
end
if missing then
  answer[#answer + 1] = redis.call('GET', p .. 'epoch') or ''
end
return answer

-- name: load
-- id, after, limit
local turn = redis.call('HMGET', p .. 'turn:' .. ARGV[2], 'i', 'e', 'l')
if not turn[1] then
  return false
end
return {turn[1], turn[2] or '', turn[3],
  redis.call('XRANGE', p .. 'events:' .. ARGV[2], '(' .. ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])}

-- name: snapshot
-- id
return redis.call('HMGET', p .. 'turn:' .. ARGV[2], 'q', 'p')

-- name: standings
-- ids
local answer = {}
for at = 2, #ARGV do
  local turn = redis.call('HMGET', p .. 'turn:' .. ARGV[at], 'h', 'e')
  if not turn[1] then
    answer[#answer + 1] = 0
  elseif turn[2] then
    answer[#answer + 1] = 2
  else
    local lease = redis.call('ZSCORE', p .. 'workers', turn[1])
    local claim = not lease and redis.call('ZSCORE', p .. 'claims', ARGV[at])
    answer[#answer + 1] = tonumber(lease or claim or 0) < now and 3 or claim and 4 or 1
  end
end
return answer

-- name: stop
-- id, patience
local turn = redis.call('HMGET', p .. 'turn:' .. ARGV[2], 'h', 'e')
if not turn[1] or turn[2] then
  return 0
end
redis.call('HSET', p .. 'turn:' .. ARGV[2], 's', 1)
local inbox = p .. 'inbox:' .. turn[1]
redis.call('XADD', inbox, 'MAXLEN', '~', 1000, '*', 's', ARGV[2])
redis.call('PEXPIRE', inbox, ARGV[3])
return 1

-- name: wake
-- worker, patience
local inbox = p .. 'inbox:' .. ARGV[2]
redis.call('XADD', inbox, 'MAXLEN', '~', 1000, '*', 'w', 1)
redis.call('PEXPIRE', inbox, ARGV[3])
return 1

-- name: turns
-- owner and thread; thread
local answer = {}
for at = 2, 3 do
  local turns = p .. 'thread:' .. ARGV[at]
  local found = redis.call('ZRANGE', turns, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local turn = redis.call('HMGET', p .. 'turn:' .. found[i], 'i', 'e')
    if turn[1] then
      answer[#answer + 1] = {turn[1], turn[2] or '', found[i + 1]}
    else
      redis.call('ZREM', turns, found[i])
    end
  end
end
return answer

-- name: claim
-- worker, lease, claim
local worker, lease, claim = ARGV[2], tonumber(ARGV[3]), ARGV[4]
renew(worker, lease)
if now - tonumber(redis.call('HGET', p .. 'since', worker)) < lease then
  return {}
end
local answer = {}
local function take(id, holder)
  local turn = redis.call('HMGET', p .. 'turn:' .. id, 'h', 'e', 'i', 's')
  if turn[1] and not turn[2] and (not holder or turn[1] == holder) then
    redis.call('HSET', p .. 'turn:' .. id, 'h', claim)
    redis.call('ZADD', p .. 'claims', now + lease, id)
    answer[#answer + 1] = {turn[3], turn[4] and 1 or 0}
  elseif not holder then
    redis.call('ZREM', p .. 'claims', id)
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'claims', '-inf', '(' .. now)) do
  take(id, false)
end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', p .. 'workers', '-inf', '(' .. now)) do
  for _, id in ipairs(redis.call('SMEMBERS', p .. 'worker:' .. dead)) do
    take(id, dead)
  end
  redis.call('DEL', p .. 'worker:' .. dead)
  redis.call('ZREM', p .. 'workers', dead)
  redis.call('HDEL', p .. 'since', dead)
end
return answer

-- name: adopt
-- claim, worker, lease, id, info, number after which its events begin
local worker, turn = ARGV[3], p .. 'turn:' .. ARGV[5]
local known = redis.call('HMGET', turn, 'h', 'e', 'l')
if known[1] ~= ARGV[2] or known[2] then
  return false
end
renew(worker, ARGV[4])
redis.call('HSET', turn, 'h', worker, 'i', ARGV[6])
if tonumber(ARGV[7]) > tonumber(known[3]) then
  redis.call('HSET', turn, 'l', ARGV[7])
end
redis.call('ZREM', p .. 'claims', ARGV[5])
redis.call('SADD', p .. 'worker:' .. worker, ARGV[5])
return redis.call('GET', p .. 'epoch')

-- name: release
-- worker, id
local worker, id = ARGV[2], ARGV[3]
local known = redis.call('HMGET', p .. 'turn:' .. id, 'h', 'e')
if known[1] ~= worker or known[2] then
  return 0
end
redis.call('HSET', p .. 'turn:' .. id, 'h', worker .. '/released')
redis.call('SREM', p .. 'worker:' .. worker, id)
redis.call('ZADD', p .. 'claims', 0, id)
return 1

-- name: settle
-- claim, id, retention, retention of keys, jump, number of events, events
local claim, id = ARGV[2], ARGV[3]
local turn = redis.call('HMGET', p .. 'turn:' .. id, 'h', 'e', 'l', 't', 'r')
if turn[1] ~= claim or turn[2] then
  return 0
end
local last, count = tonumber(turn[3]), tonumber(ARGV[7])
redis.call('ZREM', p .. 'claims', id)
if count > 0 then
  local first = last + tonumber(ARGV[6]) + 1
  last = first + count - 1
  redis.call('XADD', p .. 'events:' .. id, last .. '-0', 'f', first, 'd', ARGV[8], 'j', 1)
end
finish(id, turn[4], claim, 'interrupted', last, turn[5] ~= '1', tonumber(ARGV[4]), ARGV[5])
return 1

-- name: forget_thread
-- owner and thread, retention of keys
local turns = p .. 'thread:' .. ARGV[2]
for _, id in ipairs(redis.call('ZRANGE', turns, 0, -1)) do
  local turn = p .. 'turn:' .. id
  local known = redis.call('HMGET', turn, 'h', 'e')
  if known[1] and not known[2] then
    -- It is over: whoever has it finds its end, and no turn to write to.
    redis.call('SET', p .. 'end:' .. id, 'interrupted', 'NX', 'PX', ARGV[3])
    redis.call('SREM', p .. 'worker:' .. known[1], id)
    redis.call('ZREM', p .. 'claims', id)
  end
  redis.call('UNLINK', turn, p .. 'events:' .. id)
end
redis.call('DEL', turns)
return 1

-- name: claim_key
-- key, value, retention
if redis.call('SET', p .. 'key:' .. ARGV[2], ARGV[3], 'NX', 'PX', ARGV[4]) then
  return false
end
return redis.call('GET', p .. 'key:' .. ARGV[2])

-- name: release_key
-- key, what its value must begin with, or nothing
if string.sub(redis.call('GET', p .. 'key:' .. ARGV[2]) or '', 1, #ARGV[3]) == ARGV[3] then
  redis.call('DEL', p .. 'key:' .. ARGV[2])
end
return 1

-- name: survey_turns
-- after, limit
local ids, known = {}, {}
local function add(found)
  for _, id in ipairs(found) do
    if id > ARGV[2] and not known[id] then
      known[id] = true
      ids[#ids + 1] = id
    end
  end
end
for _, worker in ipairs(redis.call('ZRANGE', p .. 'workers', 0, -1)) do
  add(redis.call('SMEMBERS', p .. 'worker:' .. worker))
end
add(redis.call('ZRANGE', p .. 'claims', 0, -1))
table.sort(ids)
local answer = {}
for _, id in ipairs(ids) do
  if #answer >= tonumber(ARGV[3]) then
    break
  end
  local turn = redis.call('HMGET', p .. 'turn:' .. id, 'i', 'h', 's', 'e')
  if turn[1] and not turn[4] then
    local lease = redis.call('ZSCORE', p .. 'workers', turn[2])
    local claim = redis.call('ZSCORE', p .. 'claims', id)
    local ends = tonumber(claim or lease or 0)
    answer[#answer + 1] = {turn[1], turn[2], claim and 1 or 0, turn[3] and 1 or 0, ends < now and 1 or 0,
      ends > 0 and ends - now or ''}
  end
end
return answer

-- name: survey_workers
-- limit
local answer = {}
local found = redis.call('ZREVRANGE', p .. 'workers', 0, tonumber(ARGV[2]) - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  answer[#answer + 1] = {found[i], redis.call('SCARD', p .. 'worker:' .. found[i]), tonumber(found[i + 1]) - now}
end
return answer
