ringtap_test(compression SOURCES ${CMAKE_SOURCE_DIR}/native/test/compression_test.cc LINK ringtap_backend_file ringtap_io)
ringtap_test(io SOURCES ${CMAKE_SOURCE_DIR}/native/test/io_test.cc LINK ringtap_io)
ringtap_test(train SOURCES ${CMAKE_SOURCE_DIR}/native/test/train_test.cc LINK ringtap_io)
