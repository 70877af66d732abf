import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Three files with fixed names, which the Python package carries and fastapi_app/page.py serves.
export default defineConfig({
  plugins: [react()],
  publicDir: false,
  build: {
    outDir: "../fastapi_app/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: {
      output: {
        entryFileNames: "page.js",
        assetFileNames: "page[extname]",
        codeSplitting: false,
        comments: { legal: true }, // React's licence asks for its notice in every copy
      },
    },
  },
});
