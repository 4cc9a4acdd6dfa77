/** Builds the application for one version of React: the one that is installed in the folder STOCK_APP. */

export default {
  root: process.env.STOCK_APP,
  base: "./",
  logLevel: "warn",
  // The application is beside the folders of the versions, so that both build the same one.
  resolve: { dedupe: ["react", "react-dom", "@openai/chatkit-react"] },
  build: { outDir: process.env.STOCK_OUT, emptyOutDir: true, modulePreload: false, minify: false, target: "es2022" },
};
