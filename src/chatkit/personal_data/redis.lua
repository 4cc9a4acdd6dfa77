-- The scripts of chatkit.personal_data._redis. Each counts what it deletes where the erasure keeps count, so that one that
-- is carried out twice counts once.

-- name: erase
-- key of the erasure, what is counted or nothing, keys
local deleted = redis.call('UNLINK', unpack(ARGV, 3))
if deleted > 0 and ARGV[2] ~= '' then
  redis.call('HINCRBY', ARGV[1], ARGV[2], deleted)
end
return deleted

-- name: erase_turn
-- key of the erasure, what is counted, prefix, turn
local prefix, id = ARGV[3], ARGV[4]
local turn = prefix .. 'turn:' .. id
local holder = redis.call('HGET', turn, 'h')
if holder then
  redis.call('SREM', prefix .. 'worker:' .. holder, id)
end
redis.call('ZREM', prefix .. 'claims', id)
local deleted = redis.call('UNLINK', turn)
if deleted > 0 then
  redis.call('HINCRBY', ARGV[1], ARGV[2], deleted)
end
redis.call('UNLINK', prefix .. 'events:' .. id, prefix .. 'end:' .. id)
return deleted

-- name: counts
-- key of the erasure
return redis.call('HGETALL', ARGV[1])
