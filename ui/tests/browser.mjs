/**
 * Builds the gallery and runs its pages in a real Chromium: hostile texts, the proof that their traps close, the
 * content security policy, axe-core, the cost of a delta. `CHROMIUM` names the browser, /usr/bin/chromium by default. Prints what each page reports; exits 1 on failure.
 */
import { execFile, spawn } from "node:child_process";
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
let reported = () => undefined;
const server = createServer((request, response) => {
  if (request.method === "POST") {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      response.writeHead(204).end();
      reported(JSON.parse(body));
    });
    return undefined;
  }
  const path = join(folder, "site", normalize(new URL(request.url, "http://x").pathname));
  if (!existsSync(path)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  createReadStream(path).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const url = (address) => `http://127.0.0.1:${server.address().port}/${address}`;
const browser = process.env.CHROMIUM ?? "/usr/bin/chromium";
const options = () => ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", `--user-data-dir=${mkdtempSync(join(folder, "profile-"))}`];

/** Opens a page in real time, until it reports. */
async function measured(address) {
  const child = spawn(browser, [...options(), "--remote-debugging-port=0", url(address)], { stdio: "ignore", detached: true });
  const answer = await Promise.race([new Promise((resolve) => (reported = resolve)), new Promise((resolve) => setTimeout(resolve, 120_000, null).unref())]);
  process.kill(-child.pid);
  const right = answer?.title === "passed";
  // oxlint-disable-next-line no-console -- this is what the script is for
  console.log(`${right ? "ok" : "NOT OK"}: ${address}\n${JSON.stringify(answer?.report ?? null, null, 1)}`);
  return right;
}

async function page(address, wanted, flags) {
  const { stdout } = await run(browser, [...options(), ...flags, "--dump-dom", url(address)], { timeout: 120_000, maxBuffer: 1e8 }).catch(() => ({ stdout: "" }));
  const title = /<title>(.*?)<\/title>/.exec(stdout)?.[1];
  const report = /<pre>([\s\S]*?)<\/pre>/.exec(stdout)?.[1] ?? "no report";
  const right = title === wanted;
  // oxlint-disable-next-line no-console -- this is what the script is for
  console.log(`${right ? "ok" : "NOT OK"}: ${address} ${title}, wanted ${wanted}\n${report.slice(0, 1500)}`);
  return right;
}

const budget = ["--virtual-time-budget=250000"];
const wanted = process.argv[2];
const results = wanted ? [await measured(wanted)] : [
  await page("xss.html", "passed", budget),
  await page("xss.html?hole", "failed", budget),
  await measured("gallery.html?check"),
  await measured("gallery.html?check&scheme=dark&dir=rtl"),
  await measured("bench.html"),
];
server.close();
rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
process.exit(results.every(Boolean) ? 0 : 1);
