ringtap_fuzz(decode SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/decode_fuzz.cc LINK ringtap_decode)
ringtap_fuzz(tunnel SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/tunnel_fuzz.cc LINK ringtap_decode)
ringtap_fuzz(share SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/share_fuzz.cc LINK ringtap_decode)
