// Uploads the chosen folder: each chunk is hashed and sent by itself, so that no file is ever whole in memory.
// The digest of a file is the SHA-256 of the SHA-256 digests of its chunks.
"use strict";

const part = document.querySelector("[data-upload]");
if (part && window.crypto?.subtle) {
  const chooser = part.querySelector("input");
  const bar = part.querySelector("progress");
  const status = part.querySelector("[role=status]");
  const form = part.closest("form");
  const names = new Set(part.dataset.names.split(" "));
  const CHUNK = 8 << 20;
  const TRIES = 8;
  part.hidden = false;

  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const chunkOf = (file, number) => file.slice(number * CHUNK, (number + 1) * CHUNK);

  // Only files directly inside the folder, as an engine reads them.
  const wanted = (files) =>
    files.filter((file) => {
      const path = (file.webkitRelativePath || file.name).split("/");
      return path.length <= 2 && (names.has(file.name) || file.name.endsWith(".safetensors"));
    });

  const show = (phase, done, total) => {
    const percent = Math.floor((100 * done) / Math.max(total, 1));
    bar.value = percent;
    status.textContent = `${phase} ${percent}% of ${(total / 2 ** 20).toFixed(1)} MiB`;
  };

  const ask = async (method, path, body, type) => {
    const token = form.elements.csrfmiddlewaretoken.value;
    const headers = { Accept: "application/json", "X-CSRFToken": token };
    if (type) headers["Content-Type"] = type;
    for (let tried = 1; ; tried++) {
      let answer = null;
      try {
        answer = await fetch(part.dataset.upload + path, { method, body, headers });
      } catch {
        // the connection broke
      }
      if (answer?.ok) return answer.status === 204 ? null : answer.json();
      const lasting = answer && ![408, 429, 502, 503, 504].includes(answer.status);
      if (lasting || tried === TRIES) {
        const refusal = await answer?.json().catch(() => null);
        throw new Error(refusal ? `${refusal.message} ${refusal.advice}` : "The site does not answer. Choose the folder again to go on.");
      }
      await pause(Math.max(Number(answer?.headers.get("Retry-After")) || 0, Math.min(30, 2 ** tried / 2)));
    }
  };

  // To the site's object store, by an address that the site signs. One that has ended is asked for anew.
  const sendSigned = async (path, number, data) => {
    for (let tried = 1; ; tried++) {
      const body = JSON.stringify({ numbers: [number] });
      const [signed] = await ask("POST", `${path}/addresses`, body, "application/json");
      try {
        const answer = await fetch(signed.url, { method: "PUT", body: data, headers: signed.headers, credentials: "omit" });
        if (answer.ok) return;
      } catch {
        // the connection broke, or the store does not let this page send
      }
      if (tried === TRIES) throw new Error("The store of uploads does not take the file. Choose the folder again to go on.");
      await pause(Math.min(30, 2 ** tried / 2));
    }
  };

  const hash = async (files) => {
    const total = files.reduce((sum, file) => sum + file.size, 0);
    const found = new Map();
    let done = 0;
    for (const file of files) {
      const list = new Uint8Array(32 * Math.ceil(file.size / CHUNK));
      for (let number = 0; number * CHUNK < file.size; number++) {
        const data = await chunkOf(file, number).arrayBuffer();
        list.set(await sha256(data), 32 * number);
        done += data.byteLength;
        show("Hashing", done, total);
      }
      found.set(file.name, { file, list, digest: hex(await sha256(list)) });
    }
    return found;
  };

  const send = async (found) => {
    const files = [...found.values()].map(({ file, digest }) => ({ name: file.name, size: file.size, digest }));
    const total = files.reduce((sum, file) => sum + file.size, 0);
    const organisation = form.elements.organisation?.value ?? "";
    const upload = await ask("POST", "", JSON.stringify({ files, organisation }), "application/json");
    const chunks = upload.files.flatMap(({ name, missing }) =>
      missing.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => [name, first + at])),
    );
    const size = ([name, number]) => Math.min(CHUNK, found.get(name).file.size - number * CHUNK);
    let done = total - chunks.reduce((sum, one) => sum + size(one), 0);
    show("Sending", done, total);
    for (const { name, listed } of upload.files) {
      if (!listed) await ask("PUT", `/${upload.id}/files/${name}/list`, found.get(name).list, "application/octet-stream");
    }
    for (const [name, number] of chunks) {
      const data = await chunkOf(found.get(name).file, number).arrayBuffer();
      const path = `/${upload.id}/files/${name}`;
      if (upload.direct) await sendSigned(path, number, data);
      else await ask("PUT", `${path}/chunks/${number}`, data, "application/octet-stream");
      done += size([name, number]);
      show("Sending", done, total);
    }
    status.textContent = "Reading the model.";
    return ask("POST", `/${upload.id}/complete`);
  };

  chooser.addEventListener("change", async () => {
    const files = wanted([...chooser.files]);
    bar.hidden = false;
    chooser.disabled = true;
    status.className = "";
    try {
      const upload = await send(await hash(files));
      form.elements.upload.value = upload.id;
      status.textContent = "The folder is uploaded. Check it, or submit it.";
    } catch (failure) {
      status.className = "error";
      status.textContent = failure.message;
    } finally {
      chooser.disabled = false;
    }
  });
}
