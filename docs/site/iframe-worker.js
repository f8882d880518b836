/* Search in pages that are opened from a disk: there browsers start no worker, so a hidden frame of the page does its work.
 *
 * The theme's search looks for the name IFrameWorker, and waits for what importScripts returns. */
(() => {
  if (location.protocol !== "file:") return;

  /* What runs within the frame: messages go to the page, and scripts are loaded one after the other. */
  const inside = () => {
    window.postMessage = (data) => parent.postMessage({ frame: window.name, data }, "*");
    window.importScripts = (...urls) =>
      urls.reduce(
        (before, url) =>
          before.then(
            () =>
              new Promise((loaded, failed) => {
                const script = document.createElement("script");
                Object.assign(script, { src: url, onload: loaded, onerror: failed });
                document.body.appendChild(script);
              })
          ),
        Promise.resolve()
      );
  };

  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.name = `worker-${Math.random()}`;
      this.frame = Object.assign(document.createElement("iframe"), { hidden: true, name: this.name });
      addEventListener("message", (event) => {
        if (event.data && event.data.frame === this.name) this.dispatchEvent(new MessageEvent("message", { data: event.data.data }));
      });
      const start = () => {
        document.body.appendChild(this.frame);
        const page = this.frame.contentDocument;
        page.open();
        page.write(`<html><body><script>(${inside})()<\/script></body></html>`);
        page.close();
        const script = Object.assign(page.createElement("script"), { src: url, onload: () => this.begin() });
        page.body.appendChild(script);
      };
      if (document.body) start();
      else addEventListener("DOMContentLoaded", start);
    }

    begin() {
      const waiting = this.waiting;
      this.waiting = null;
      waiting.forEach((data) => this.postMessage(data));
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
})();
