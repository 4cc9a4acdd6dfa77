/** Records speech and has the server write it down. */

import type { App } from "./app";
import { asError } from "../protocol/errors";

const TYPES = ["audio/webm;codecs=opus", "audio/webm", "audio/mp4", "audio/ogg;codecs=opus"];

export class Dictation {
  phase: "idle" | "recording" | "transcribing" = "idle";

  #recorder: MediaRecorder | null = null;
  #isCancelled = false;

  constructor(
    private readonly app: App,
    private readonly onChange: () => void,
    private readonly onText: (text: string) => void,
  ) {}

  static get isPossible(): boolean {
    return typeof MediaRecorder !== "undefined" && navigator.mediaDevices !== undefined;
  }

  toggle(): void {
    if (this.phase === "recording") this.#recorder?.stop();
    else if (this.phase === "idle") void this.#record();
  }

  cancel(): void {
    this.#isCancelled = true;
    if (this.#recorder?.state === "recording") this.#recorder.stop();
  }

  async #record(): Promise<void> {
    this.#isCancelled = false;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
      const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
      const chunks: Blob[] = [];
      recorder.ondataavailable = (event) => chunks.push(event.data);
      recorder.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        if (this.#isCancelled) this.#enter("idle");
        else void this.#transcribe(new Blob(chunks, { type: recorder.mimeType }));
      };
      this.#recorder = recorder;
      recorder.start();
      this.#enter("recording");
    } catch (error) {
      this.#fail(error, "composer.noMicrophone");
      this.#enter("idle");
    }
  }

  async #transcribe(audio: Blob): Promise<void> {
    // Stopped before anything was recorded.
    if (audio.size === 0) return this.#enter("idle");
    this.#enter("transcribing");
    try {
      const params = { audio_base64: base64(new Uint8Array(await audio.arrayBuffer())), mime_type: audio.type };
      const { text } = await this.app.client.call("input.transcribe", params);
      this.onText(text);
    } catch (error) {
      this.#fail(error, "composer.notTranscribed");
    } finally {
      this.#enter("idle");
    }
  }

  #fail(error: unknown, key: string): void {
    this.app.onError(asError(error));
    this.app.composer.complain(this.app.translate(key));
  }

  #enter(phase: Dictation["phase"]): void {
    this.phase = phase;
    this.onChange();
  }
}

function base64(bytes: Uint8Array): string {
  let text = "";
  // In pieces, for a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
  return btoa(text);
}
