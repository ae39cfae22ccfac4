# A shim: node-gyp, node-gyp-build and prebuildify drive the CMake build with it. CMakeLists.txt has the sources.
{
  "targets": [
    {
      "target_name": "ringtap",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(PRODUCT_DIR)/ringtap.node"],
          "action": ["node", "scripts/gyp-build.mjs", "<(PRODUCT_DIR)", "<(node_root_dir)"]
        }
      ]
    }
  ]
}
