/**
 * Behaves as the stock element was recorded to: one POST a request with these headers, bare `data:` frames, an aborted
 * connection for a stop. What a strict reader of such a stream would stumble over is noted in `complaints`.
 */
import { resumableFetch } from "MODULE";

class RecordedClient {
  events = [];
  complaints = [];
  threadId = null;
  streamed = "";
  stored = null;
  state = "idle";
  failure = null;

  constructor(url, options) {
    this.url = url;
    this.fetch = resumableFetch(options);
  }

  request(body) {
    this.abort = new AbortController();
    const headers = { "Content-Type": "application/json", Accept: "text/event-stream", "chatkit-frame-instance-id": "frame_1" };
    return this.fetch(this.url, { method: "POST", headers, body: JSON.stringify(body), signal: this.abort.signal });
  }

  async ask(type, params) {
    return (await this.request({ type, params })).json();
  }

  send(text) {
    const input = { content: [{ type: "input_text", text }], attachments: [], inference_options: {} };
    if (this.threadId === null) return this.stream("threads.create", { input });
    return this.stream("threads.add_user_message", { thread_id: this.threadId, input });
  }

  async stream(type, params) {
    this.state = "streaming";
    this.streamed = "";
    this.stored = null;
    this.failure = null;
    this.known = new Map();
    try {
      const response = await this.request({ type, params });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      if (!response.headers.get("content-type").startsWith("text/event-stream")) this.complaints.push("no event stream");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      while (true) {
        const { done, value } = await reader.read();
        if (done) break;
        const frames = (rest + value).split("\n\n");
        rest = frames.pop();
        for (const frame of frames) this.take(frame);
      }
      if (rest !== "") this.complaints.push(`cut off: ${rest}`);
      this.state = "idle";
    } catch (error) {
      this.state = error.name === "AbortError" ? "aborted" : "broken";
      this.failure = String(error);
    }
    const call = this.events.at(-1)?.item;
    if (this.state === "idle" && call?.type === "client_tool_call" && call.status === "pending")
      await this.stream("threads.add_client_tool_output", { thread_id: this.threadId, result: { time: "noon" } });
  }

  take(frame) {
    if (!frame.startsWith("data: ") || frame.includes("\n")) {
      this.complaints.push(`no bare frame: ${frame}`);
      return;
    }
    const event = JSON.parse(frame.slice(6));
    this.events.push(event);
    const { type, item, update } = event;
    if (type === "thread.created") {
      if (this.threadId !== null) this.complaints.push("a second thread");
      this.threadId = event.thread.id;
    }
    const id = item?.id ?? event.item_id;
    if (type === "thread.item.added") {
      if (this.known.has(id)) this.complaints.push(`added twice: ${id}`);
      this.known.set(id, "added");
    }
    if (type === "thread.item.done") {
      if (this.known.get(id) === "done") this.complaints.push(`done twice: ${id}`);
      this.known.set(id, "done");
      if (item.type === "assistant_message") this.stored = item.content.map(part => part.text).join("");
    }
    if (type === "thread.item.updated" && update.type === "assistant_message.content_part.text_delta") {
      if (this.known.get(id) !== "added") this.complaints.push(`updated though not added: ${id}`);
      this.streamed += update.delta;
    }
  }
}

window.updates = [];
window.until = async (holds, seconds = 20) => {
  const end = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`Not in ${seconds} s: ${holds}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
};
window.start = options => {
  const onUpdate = update => updates.push(update);
  window.client = new RecordedClient("API", { ...options, onUpdate });
};
window.isLoaded = true;
