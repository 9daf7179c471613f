// The service worker: keeps the app's own files, and sends what waits when the browser
// wakes it. What answers a fetch has to be there before WebAssembly is: this can't be Rust.
// The sending is: `finish_queue`, with the engine that the page has.
import init, { finish_queue } from "{{endpaper.js}}";

const VERSION = "{{version}}";
const CACHE = `endpaper-app-${VERSION}`;
const PAGE = "/";
const FILES = [PAGE, "/manifest.webmanifest", {{files}}];

// The page of a captive portal is not kept in the place of ours.
const keep = async (cache, file) => {
  // What has a hash for a name is what the page has loaded just now; the others are asked for.
  const asks = file.startsWith("/app/") ? "default" : "no-cache";
  const answer = await fetch(file, { cache: asks, redirect: "error" });
  const isPage = (answer.headers.get("content-type") ?? "").startsWith("text/html");
  const page = file === PAGE ? await answer.clone().text() : "";
  const isOurs = file === PAGE ? page.includes("{{boot.js}}") : !isPage;
  if (!answer.ok || !isOurs) throw new Error(`${file} is not what it should be`);
  // The app opens at once from here: nothing is said while it loads.
  const kept = page.replace(/<!--first-->.*<!--\/first-->/s, "");
  const headers = { headers: answer.headers };
  await cache.put(file, file === PAGE ? new Response(kept, headers) : answer);
};

// All of a version, or nothing: an old page never meets new files.
self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => Promise.all(FILES.map((file) => keep(cache, file)))),
  );
});

self.addEventListener("activate", (event) => {
  const others = (name) => name.startsWith("endpaper-app-") && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(others).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (url.pathname.startsWith("/api/") || url.pathname.startsWith("/ops")) return;
  const wanted = request.mode === "navigate" ? PAGE : url.pathname;
  if (!FILES.includes(wanted)) return;
  event.respondWith(
    caches.open(CACHE).then(async (cache) => (await cache.match(wanted)) ?? fetch(request)),
  );
});

// Background Synchronization (WICG), where a browser has it.
self.addEventListener("sync", (event) => {
  const finish = async () => {
    const cache = await caches.open(CACHE);
    const module_or_path = (await cache.match("{{endpaper.wasm}}")) ?? "{{endpaper.wasm}}";
    await init({ module_or_path });
    await finish_queue();
  };
  if (event.tag === "queue") event.waitUntil(finish());
});
