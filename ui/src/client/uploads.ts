/** Uploads of attachments, by either strategy, with progress where the browser tells it. */

import type { FileUploadStrategy } from "@openai/chatkit";
import type { ProtocolClient } from "./client";
import { authorised, type Endpoint, isOwn } from "./endpoint";
import { ConnectionError, errorOfAnswer } from "../protocol/errors";
import type { WireAttachment } from "../protocol/wire";

export interface Upload {
  client: ProtocolClient;
  endpoint: Endpoint;
  strategy: FileUploadStrategy | undefined;
  signal: AbortSignal;
  /** Called with a share from 0 to 1; never where the page sends requests itself, for fetch tells no progress. */
  onProgress(share: number): void;
  /** Called as soon as the server knows the attachment, so that a cancelled upload can be deleted there. */
  onCreated(attachment: WireAttachment): void;
}

/** Uploads a file and returns its attachment. */
export async function upload(file: File, options: Upload): Promise<WireAttachment> {
  const { client, endpoint, strategy, signal } = options;
  const mimeType = file.type || "application/octet-stream";
  if (strategy?.type === "direct") {
    const { uploadUrl: url } = strategy;
    const text = await send({ url, method: "POST", headers: {}, body: form(file), needsSecret: isOwn(endpoint, url, false) }, options);
    return JSON.parse(text) as WireAttachment;
  }
  const params = { name: file.name, size: file.size, mime_type: mimeType };
  const created = await client.call("attachments.create", params, signal);
  options.onCreated(created);
  const target = created.upload_descriptor;
  if (!target) return created;
  const { url, method, headers = {} } = target;
  // Links to elsewhere are signed, and a bucket refuses a request that names two signatures.
  const needsSecret = isOwn(endpoint, url, true);
  if (method === "PUT") await send({ url, method, headers: { "Content-Type": mimeType, ...headers }, body: file, needsSecret }, options);
  else await send({ url, method: "POST", headers, body: form(file), needsSecret }, options);
  return created;
}

function form(file: File): FormData {
  const data = new FormData();
  data.append("file", file, file.name);
  return data;
}

interface Sending {
  url: string;
  method: "POST" | "PUT";
  headers: Record<string, string>;
  body: FormData | File;
  /** Whether it needs what lets requests into the chat, where that needs anything. */
  needsSecret: boolean;
}

async function send({ needsSecret, ...request }: Sending, options: Upload): Promise<string> {
  const { endpoint, signal } = options;
  const attempt = (more: Record<string, string>): Promise<Response> => {
    const { url, ...init } = { ...request, headers: { ...more, ...request.headers } };
    return endpoint.fetch ? endpoint.fetch(url, { ...init, signal }) : sendWithProgress(url, init, options);
  };
  const response = await (needsSecret ? authorised(endpoint, attempt, signal) : attempt({}));
  if (!response.ok) throw await errorOfAnswer(response);
  return response.text();
}

function sendWithProgress(url: string, { method, headers, body }: Pick<Sending, "method" | "headers" | "body">, options: Upload): Promise<Response> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => {
      if (event.lengthComputable) options.onProgress(event.loaded / event.total);
    };
    xhr.onload = () => {
      const { status, responseText } = xhr;
      const retryAfter = xhr.getResponseHeader("Retry-After");
      // An empty text would be one too many where the status allows none.
      resolve(new Response(responseText || null, { status, headers: retryAfter === null ? {} : { "Retry-After": retryAfter } }));
    };
    xhr.onerror = () => reject(new ConnectionError("The upload broke off."));
    xhr.onabort = () => reject(new DOMException("Aborted", "AbortError"));
    options.signal.addEventListener("abort", () => xhr.abort(), { once: true });
    if (options.signal.aborted) reject(new DOMException("Aborted", "AbortError"));
    else xhr.send(body);
  });
}
