ringtap_test(decode SOURCES ${CMAKE_SOURCE_DIR}/native/test/decode_test.cc ${CMAKE_SOURCE_DIR}/native/test/decode_batch_test.cc
                    ${CMAKE_SOURCE_DIR}/native/test/flow_hash_test.cc
             LINK ringtap_decode)
ringtap_test(tunnel SOURCES ${CMAKE_SOURCE_DIR}/native/test/tunnel_test.cc LINK ringtap_decode)
