/**
 * Builds the gallery and runs its pages in a real Chromium: hostile texts, the proof that their traps close, the cost of
 * a delta. `CHROMIUM` names the browser, /usr/bin/chromium by default. Prints what each page reports; exits 1 on failure.
 */
import { execFile } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { promisify } from "node:util";
import { build } from "vite";

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "gallery-"));
const TYPES = { ".html": "text/html", ".js": "text/javascript" };

process.env.GALLERY_OUT = join(folder, "site");
await build({ configFile: new URL("../gallery.config.ts", import.meta.url).pathname, root: new URL("..", import.meta.url).pathname, logLevel: "warn" });
const server = createServer((request, response) => {
  const path = join(folder, "site", normalize(new URL(request.url, "http://x").pathname));
  if (!existsSync(path)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  createReadStream(path).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

async function page(address, wanted, flags) {
  const profile = mkdtempSync(join(folder, "profile-"));
  const options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", `--user-data-dir=${profile}`, ...flags];
  const url = `http://127.0.0.1:${server.address().port}/${address}`;
  const { stdout } = await run(process.env.CHROMIUM ?? "/usr/bin/chromium", [...options, "--dump-dom", url], { timeout: 120_000, maxBuffer: 1e8 }).catch(() => ({ stdout: "" }));
  const title = /<title>(.*?)<\/title>/.exec(stdout)?.[1];
  const report = /<pre>([\s\S]*?)<\/pre>/.exec(stdout)?.[1] ?? "no report";
  const right = title === wanted;
  // oxlint-disable-next-line no-console -- this is what the script is for
  console.log(`${right ? "ok" : "NOT OK"}: ${address} ${title}, wanted ${wanted}\n${report.slice(0, 1500)}`);
  return right;
}

const budget = ["--virtual-time-budget=250000"];
const results = [
  await page("xss.html", "passed", budget),
  await page("xss.html?hole", "failed", budget),
  await page("bench.html", "passed", ["--timeout=60000"]),
];
server.close();
rmSync(folder, { recursive: true, force: true });
process.exit(results.every(Boolean) ? 0 : 1);
