// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { ProtocolClient } from "../../src/client/client";
import { endpointOf } from "../../src/client/endpoint";
import { upload } from "../../src/client/uploads";
import type { FileUploadStrategy } from "@openai/chatkit";

interface Seen {
  url: string;
  method: string | undefined;
  secret: string | undefined;
}

/** Uploads a file with secrets, refused where `refuses` says so; returns what was sent. */
async function uploaded(target: { url: string; method: "PUT" | "POST"; headers?: Record<string, string> } | null, strategy?: FileUploadStrategy, refuses: (seen: Seen) => boolean = () => false): Promise<Seen[]> {
  const seen: Seen[] = [];
  let given = 0;
  const endpoint = endpointOf({
    url: "https://chat.example.com/chatkit",
    getClientSecret: async () => `s${(given += 1)}`,
    fetch: async (url, init) => {
      const secret = new Headers(init?.headers).get("authorization") ?? undefined;
      seen.push({ url: String(url), method: init?.method, secret });
      if (refuses(seen.at(-1) as Seen)) return Response.json({ error: { code: "expired_client_secret", message: "" } }, { status: 401 });
      return Response.json({ type: "file", id: "atc_1", name: "a.txt", mime_type: "text/plain", upload_descriptor: target });
    },
  });
  await upload(new File(["text"], "a.txt", { type: "text/plain" }), {
    client: new ProtocolClient(() => endpoint),
    endpoint,
    strategy,
    signal: new AbortController().signal,
    onProgress: () => undefined,
    onCreated: () => undefined,
  });
  return seen;
}

const CREATED = { url: "https://chat.example.com/chatkit", method: "POST", secret: "Bearer s1" };

test("a link below the chat's address gets the secret", async () => {
  const url = "https://chat.example.com/chatkit/files/atc_1?sig=1";
  expect(await uploaded({ url, method: "PUT" })).toEqual([CREATED, { url, method: "PUT", secret: "Bearer s1" }]);
});

test.each(["https://bucket.example.com/a?sig=1", "https://chat.example.com/bucket/a?sig=1", "https://chat.example.com/chatkitten/a", "http://chat.example.com/chatkit/files/a", "https://chat.example.com:8443/chatkit/files/a"])("%s gets none", async (url) => {
  expect(await uploaded({ url, method: "POST" })).toEqual([CREATED, { url, method: "POST", secret: undefined }]);
});

test("a header that the server names is left alone", async () => {
  const url = "https://chat.example.com/chatkit/files/atc_1";
  expect((await uploaded({ url, method: "PUT", headers: { Authorization: "Bearer of the file" } })).at(-1)?.secret).toBe("Bearer of the file");
});

test("a direct upload gets it at the chat's origin, and nowhere else", async () => {
  const own = "https://chat.example.com/uploads";
  expect(await uploaded(null, { type: "direct", uploadUrl: own })).toEqual([{ url: own, method: "POST", secret: "Bearer s1" }]);
  const foreign = "https://files.example.com/uploads";
  expect(await uploaded(null, { type: "direct", uploadUrl: foreign })).toEqual([{ url: foreign, method: "POST", secret: undefined }]);
});

test("a file whose secret is refused is sent again with the next one", async () => {
  const url = "https://chat.example.com/uploads";
  const seen = await uploaded(null, { type: "direct", uploadUrl: url }, ({ secret }) => secret === "Bearer s1");
  expect(seen.map(({ secret }) => secret)).toEqual(["Bearer s1", "Bearer s2"]);
});
