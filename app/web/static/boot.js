// Starts the app, and the service worker that keeps it for when there is no network.
// Neither can be begun in Rust: this is what loads it.
import init, { start } from "{{endpaper.js}}";

// It may come at any time, and only once.
window.addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  window.endpaperInstall = event;
  window.dispatchEvent(new Event("endpaper-installable"));
});

await init({ module_or_path: "{{endpaper.wasm}}" });
if (document.querySelector(".first-words")) {
  // They are on the screen before the app takes their place; in a tab that nobody sees they
  // never are.
  const shown = new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await Promise.race([shown, new Promise((done) => setTimeout(done, 100))]);
}
start();

// The person has said yes: the new version takes over in every tab at once.
let registration;
window.addEventListener("endpaper-take-newer", () => {
  if (registration?.waiting) registration.waiting.postMessage("take over");
  else location.reload();
});

// There is none where the address is not a secure one; the app says so.
const workers = navigator.serviceWorker;
// Where it can't be had, the app works for as long as there is a network.
registration = await workers
  ?.register("/worker.js", { type: "module", updateViaCache: "none" })
  .catch((why) => void console.warn("The app is not kept for when there is no network:", why));
if (registration) {
  const tell = () => window.dispatchEvent(new Event("endpaper-newer"));
  const watch = (worker) =>
    worker?.addEventListener("statechange", () => {
      // Without a controller it is the first version, and not a newer one.
      if (worker.state === "installed" && workers.controller) tell();
    });
  if (registration.waiting && workers.controller) tell();
  watch(registration.installing);
  registration.addEventListener("updatefound", () => watch(registration.installing));

  let hadController = Boolean(workers.controller);
  workers.addEventListener("controllerchange", () => {
    if (hadController) location.reload();
    hadController = true;
  });
  document.addEventListener("visibilitychange", () => {
    // There may be no network.
    if (!document.hidden) registration.update().catch(() => {});
  });
}
