// Orders of four durable steps, for Restate. `node service.js PORT`
import * as restate from "@restatedev/restate-sdk";

// The kit wants a Node.js of 22; older ones lack only this.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
};

const orders = restate.service({
  name: "orders",
  handlers: {
    place: async (context) => {
      let done = 0;
      for (const step of ["stock", "coupon", "pay", "complete"]) {
        done += await context.run(step, () => 1);
      }
      return done;
    },
  },
});

await restate.serve({ services: [orders], port: Number(process.argv[2]) });
console.log("listening");
