/** Uploads of attachments, by either strategy, with progress where the browser tells it. */

import type { FileUploadStrategy } from "@openai/chatkit";
import type { Endpoint, ProtocolClient } from "./client";
import { ConnectionError, errorOfAnswer, ServerError } from "../protocol/errors";
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
  const mimeType = file.type || "application/octet-stream";
  if (options.strategy?.type === "direct") {
    const text = await send({ url: options.strategy.uploadUrl, method: "POST", headers: {}, body: form(file) }, options);
    return JSON.parse(text) as WireAttachment;
  }
  const params = { name: file.name, size: file.size, mime_type: mimeType };
  const created = await options.client.call("attachments.create", params, options.signal);
  options.onCreated(created);
  const target = created.upload_descriptor;
  if (!target) return created;
  if (target.method === "PUT") {
    const headers = { "Content-Type": mimeType, ...target.headers };
    await send({ url: target.url, method: "PUT", headers, body: file }, options);
  } else {
    await send({ url: target.url, method: "POST", headers: target.headers ?? {}, body: form(file) }, options);
  }
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
}

async function send(request: Sending, options: Upload): Promise<string> {
  if (options.endpoint.fetch) {
    const { url, method, headers, body } = request;
    const response = await options.endpoint.fetch(url, { method, headers, body, signal: options.signal });
    if (!response.ok) throw await errorOfAnswer(response);
    return response.text();
  }
  return sendWithProgress(request, options);
}

function sendWithProgress(request: Sending, options: Upload): Promise<string> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open(request.method, request.url);
    for (const [name, value] of Object.entries(request.headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => {
      if (event.lengthComputable) options.onProgress(event.loaded / event.total);
    };
    xhr.onload = () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve(xhr.responseText);
      else reject(errorOfText(xhr.status, xhr.responseText));
    };
    xhr.onerror = () => reject(new ConnectionError("The upload broke off."));
    xhr.onabort = () => reject(new DOMException("Aborted", "AbortError"));
    options.signal.addEventListener("abort", () => xhr.abort(), { once: true });
    if (options.signal.aborted) reject(new DOMException("Aborted", "AbortError"));
    else xhr.send(request.body);
  });
}

function errorOfText(status: number, text: string): ServerError {
  try {
    const told = (JSON.parse(text) as { error?: { code?: string; message?: string } }).error;
    return new ServerError(told?.message ?? `HTTP ${status}`, status, told?.code ?? `http_${status}`);
  } catch {
    return new ServerError(`HTTP ${status}`, status, `http_${status}`);
  }
}
