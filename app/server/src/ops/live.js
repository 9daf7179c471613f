"use strict";
// Shows how things stand, each second. What comes is rendered and escaped by the
// server; only sections that changed are replaced, so that what is selected or
// about to be pressed stays.
(() => {
  const now = document.getElementById("now");
  const stale = document.getElementById("stale");
  const EVERY_MS = 1000;
  const LIMIT_MS = 5000;

  const replace = (text) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = text;
    const wanted = [...fresh.content.children];
    const ids = new Set(wanted.map((section) => section.id));
    for (const section of [...now.children]) {
      if (!ids.has(section.id)) section.remove();
    }
    let before = null;
    for (const section of wanted) {
      const there = document.getElementById(section.id);
      let kept = there;
      if (!there) {
        now.insertBefore(section, before ? before.nextSibling : now.firstChild);
        kept = section;
      } else if (there.outerHTML !== section.outerHTML && !there.matches(":active")) {
        const focus = there.contains(document.activeElement) ? document.activeElement.id : "";
        there.replaceWith(section);
        kept = section;
        if (focus) document.getElementById(focus)?.focus();
      }
      before = kept;
    }
  };

  const refresh = async () => {
    try {
      const answer = await fetch("/ops/now", { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      replace(await answer.text());
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  };

  const again = async () => {
    if (!document.hidden) await refresh();
    setTimeout(again, EVERY_MS);
  };
  setTimeout(again, EVERY_MS);
})();
