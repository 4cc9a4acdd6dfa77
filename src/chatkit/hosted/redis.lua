-- The scripts of chatkit.hosted.redis. A session is a hash: d the session as JSON, c 1 once it is cancelled.

-- name: add
-- key, session, seconds since 1970 until which it is kept
redis.call('HSET', ARGV[1], 'd', ARGV[2])
redis.call('EXPIREAT', ARGV[1], ARGV[3])

-- name: find
-- key
return redis.call('HMGET', ARGV[1], 'd', 'c')

-- name: cancel
-- key
if redis.call('EXISTS', ARGV[1]) == 1 then
  redis.call('HSET', ARGV[1], 'c', 1)
end
