-- For wrk: POST the lines of the file BODIES in turn; print counts, and latencies in milliseconds, as JSON.
local bodies, number = {}, 0
for line in io.lines(os.getenv("BODIES")) do
  bodies[#bodies + 1] = line
end

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

request = function()
  number = number % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[number])
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.3f, "p50": %.1f, "p95": %.1f, "p99": %.1f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
